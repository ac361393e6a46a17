//! Peers on Python's grpcio: what the agent sees of them is what they did.

mod exactness;
mod grpc_aio;
mod grpc_sync;
