//! The media plane, sans-IO: transports, producers, consumers and the forwarding between them.
