//! What is special about sound: how loud it is, who of many is heard, and redundancy against loss.

pub(crate) mod audio_level;
pub(crate) mod receiver_loss;
pub(crate) mod red_pack;
pub(crate) mod red_unpack;
pub(crate) mod talkers;
