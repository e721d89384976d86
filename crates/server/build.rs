//! Makes sure that the folder of the built web app exists, so that the server builds without it.

fn main() {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/app/dist");
    // Without the folder the embedding would not compile; an empty one makes a server that says what is missing.
    let _ = std::fs::create_dir_all(dist);
    println!("cargo::rerun-if-changed={dist}");
}
