//! The routes of the REST API, with a module for each kind of resource.

pub mod audit;
pub mod bans;
pub mod calls;
pub mod channels;
pub mod connection;
pub mod connections;
pub mod events;
pub mod health;
pub mod invitations;
pub mod keys;
pub mod members;
pub mod moderation;
pub mod people;
pub mod seats;
pub mod sessions;
pub mod turn;
pub mod window;
