//! The way to Redis: connecting with a deadline, and carrying out writes with one.

use std::time::Duration;

use futures_util::future::try_join_all;
use parlor_proto::ChannelId;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError, TlsCertificates};
use tokio::time::timeout;

use crate::config::Redis;
use crate::cryptography;
use crate::mirror::people::People;
use crate::mirror::plan::Write;

/// The longest that a connection takes, with TLS and sign-in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that what is under way at the same time takes. A Redis that answers does so in milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the kernel tries to deliver what was sent on a connection: a write of one that was given up must not come long after
/// those of the next.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Puts the people in the place of what is there. KEYS: the call's hash, who wrote it. ARGV: this process, the lifetime
/// in seconds, fields and values.
const PUT: &str = "redis.call('DEL', KEYS[1]) \
    for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end \
    redis.call('EXPIRE', KEYS[1], ARGV[2]) \
    redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])";
/// Removes what this process wrote. Another may have written it since: the call goes on there.
const REMOVE: &str = "if redis.pcall('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end";

/// Why Redis does not do what it is told, in words that may be logged: without its address, which may hold a password, and
/// without what it says of a command, which it may quote.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(String);

/// A way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    client: Client,
    prefix: String,
    lifetime: Duration,
    /// The name of this process in Redis.
    writer: String,
}

impl Link {
    /// A way to the configured Redis, if there is one. Nothing is sent yet.
    pub fn configured(config: &Redis) -> anyhow::Result<Option<Self>> {
        if !config.is_set() {
            return Ok(None);
        }
        let client = client(config)?;
        let writer = format!("{:032x}", rand::random::<u128>());
        Ok(Some(Self { client, prefix: config.prefix.clone(), lifetime: config.call_state_ttl(), writer }))
    }

    /// How long what is written lives.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Connects, and sees that commands are answered.
    pub async fn connect(&self) -> Result<MultiplexedConnection, Trouble> {
        let connect = async {
            // Deadlines are kept here, for all that is under way together.
            let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            redis::cmd("PING").exec_async(&mut connection).await?;
            Ok(connection)
        };
        within(CONNECT_TIMEOUT, connect).await
    }

    /// Carries out all of these writes.
    pub async fn write(&self, connection: &MultiplexedConnection, writes: Vec<Write>) -> Result<(), Trouble> {
        let all = try_join_all(writes.into_iter().map(|write| self.carry_out(connection.clone(), write)));
        within(ANSWER_TIMEOUT, async { all.await.map(drop) }).await
    }

    async fn carry_out(&self, mut connection: MultiplexedConnection, write: Write) -> Result<(), RedisError> {
        let command = match &write {
            Write::Put(channel, people) => self.put(channel, people),
            Write::Remove(channel) => {
                let mut command = self.script(REMOVE, channel);
                command.arg(&self.writer);
                command
            }
            Write::Ping => redis::cmd("PING"),
        };
        command.exec_async(&mut connection).await
    }

    fn put(&self, channel: &ChannelId, people: &People) -> redis::Cmd {
        let mut command = self.script(PUT, channel);
        command.arg(&self.writer).arg(self.lifetime.as_secs());
        for (user, value) in people.fields() {
            command.arg(user).arg(value);
        }
        command
    }

    fn script(&self, script: &str, channel: &ChannelId) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        let prefix = &self.prefix;
        command.arg(script).arg(2).arg(format!("{prefix}call:state:{channel}")).arg(format!("{prefix}call:writer:{channel}"));
        command
    }
}

fn client(config: &Redis) -> anyhow::Result<Client> {
    let info = config.connection_info().map_err(|reason| anyhow::anyhow!("redis.url {reason}"))?;
    let tcp = info.tcp_settings().clone().set_nodelay(true).set_user_timeout(DEAD_AFTER);
    let info = info.set_tcp_settings(tcp);
    let (file, is_tls) = (&config.ca_file, matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
    if !is_tls {
        return Ok(Client::open(info)?);
    }
    cryptography::choose();
    if file.as_os_str().is_empty() {
        return Ok(Client::open(info)?);
    }
    let root_cert = std::fs::read(file).map_err(|error| anyhow::anyhow!("redis.ca_file: cannot read {}: {error}", file.display()))?;
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
        .map_err(|_| anyhow::anyhow!("redis.ca_file: {} has no certificates (PEM) in it", file.display()))
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, Trouble> {
    match timeout(time, work).await {
        Ok(done) => done.map_err(|error| Trouble(explain(&error))),
        Err(_) => Err(Trouble(format!("no answer within {} s", time.as_secs()))),
    }
}

fn explain(error: &RedisError) -> String {
    match error.code() {
        // A server may quote the command it refuses, with what is in it.
        Some(code) => format!("it answers {code}"),
        None if error.is_io_error() => error.to_string(),
        None => error.category().to_owned(),
    }
}
