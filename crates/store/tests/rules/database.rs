//! A new, empty database for one test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use parlor_store::Store;
use parlor_testkit::postgres;

/// Numbers the databases of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Database {
    pub url: String,
    directory: Option<PathBuf>,
}

impl Database {
    pub fn sqlite() -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        // Characters that mean something in an address, to see that they mean nothing in a path.
        let file = directory.join("a b?c%20#d.db");
        Self { url: format!("sqlite:{}", file.display()), directory: Some(directory) }
    }

    pub async fn postgres() -> Self {
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { url: postgres::create_database(&name).await.url, directory: None }
    }

    pub fn is_sqlite(&self) -> bool {
        self.directory.is_some()
    }

    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Opens it, as one more process would.
    pub async fn open(&self) -> Store {
        Store::open(&self.url).await.expect("the store opens")
    }

    /// A connection that knows nothing of the store.
    pub async fn connect(&self) -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match self.url.strip_prefix("sqlite:") {
            Some(path) => {
                format!("sqlite://{}?mode=rwc", path.replace('%', "%25").replace('?', "%3f").replace('#', "%23").replace(' ', "%20"))
            }
            None => self.url.clone(),
        };
        <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.expect("a connection")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
