//! What an allocation takes of memory, while thousands are held.

use parlor_bots::turn::TurnClient;

use super::servers::Measured;

/// Allocations from one address: below the quota of an address.
const FROM_ONE: usize = 500;

/// Makes allocations and answers the bytes of resident memory for each; sockets are the kernel's.
pub fn measure(measured: &Measured, count: usize) -> anyhow::Result<f64> {
    let before = measured.process.memory()?;
    let mut held: Vec<TurnClient> = Vec::with_capacity(count);
    for number in 0..count {
        let last = u8::try_from(2 + number / FROM_ONE)?;
        let (client, _) = measured.client(number, [127, 0, 0, last])?;
        held.push(client);
    }
    let after = measured.process.memory()?;
    // Held until here.
    drop(held);
    #[expect(clippy::cast_precision_loss, reason = "bytes of some megabytes")]
    Ok(after.saturating_sub(before) as f64 / count.max(1) as f64)
}
