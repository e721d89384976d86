//! The Rust types of the dialect are those of the published schema.

use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;

/// The folder that `import` paths begin in.
fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "protocol"].iter().collect()
}

/// The published schema.
pub fn schema() -> FileDescriptorSet {
    protox::compile([root().join("parlor/voice/v1/voice.proto")], [root()]).expect("the schema is right")
}

/// `PARLOR_BLESS=1` writes the file anew.
#[test]
fn the_types_are_made_from_the_published_schema() {
    let out = folder();
    prost_build::Config::new()
        .skip_debug(["parlor.voice.v1.IceServer"])
        .out_dir(&out)
        .compile_fds(schema())
        .expect("the types are written");
    let made = std::fs::read_to_string(out.join("parlor.voice.v1.rs")).expect("there is a file for the package");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/codec/envelope/generated.rs");
    if std::env::var_os("PARLOR_BLESS").is_some() {
        std::fs::write(&kept, &made).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(kept).expect("the file is there");
    assert!(made == kept, "src/codec/envelope/generated.rs is not what voice.proto makes: PARLOR_BLESS=1 writes it anew");
}

/// A folder for what is made, below the target directory.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("envelope-schema");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
