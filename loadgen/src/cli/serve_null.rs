//! `loadgen serve-null`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use corsair_http1::{is_field_value, is_token};
use loadgen::mix_file::split_field_line;
use loadgen::null_server::{self, Driver, NullServerError, Options};

pub(super) const EXAMPLES: &str = "Example:\n  loadgen serve-null --driver monoio \
                                   --listen 127.0.0.1:8090 --size 1024 --headers 5 --cpu 0";

#[derive(Args)]
pub(super) struct ServeNull {
    /// What waits for the sockets; `monoio` fails where there is no io_uring
    #[arg(long, value_enum, default_value = "monoio")]
    driver: DriverName,
    /// Address to listen on; port 0 takes a free one. Printed as the first line
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bytes of the body
    #[arg(long, default_value_t = 1024, value_name = "BYTES")]
    size: usize,
    /// Adds N field lines `X-Null-1: 1` …
    #[arg(long, default_value_t = 0, value_name = "N")]
    headers: usize,
    /// Adds one field line, may be given several times
    #[arg(long, value_name = "'Name: value'", value_parser = field_line)]
    header: Vec<(String, String)>,
    /// Pins the server's one thread
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DriverName {
    Epoll,
    Monoio,
}

pub(super) fn serve(flags: ServeNull) -> Result<(), NullServerError> {
    let numbered = (1..=flags.headers).map(|n| (format!("X-Null-{n}"), n.to_string()));
    null_server::serve(&Options {
        driver: match flags.driver {
            DriverName::Epoll => Driver::Epoll,
            DriverName::Monoio => Driver::Monoio,
        },
        listen: flags.listen,
        body_bytes: flags.size,
        fields: numbered.chain(flags.header).collect(),
        cpu: flags.cpu,
    })
}

/// `Name: value` as it is written on a command line.
pub(super) fn field_line(text: &str) -> Result<(String, String), String> {
    let (name, value) = split_field_line(text)?;
    if !is_token(name.as_bytes()) {
        return Err(format!("`{name}` is not a field name"));
    }
    if !is_field_value(value.as_bytes()) {
        return Err("control characters cannot be sent in a field value".to_owned());
    }
    Ok((name, value))
}
