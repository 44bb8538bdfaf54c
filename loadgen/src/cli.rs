//! Flags of the command and what each exit code means (spec §7).

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadgen::null_server;

/// Wrong flags, or something the machine refuses.
pub(crate) const EXIT_USAGE: u8 = 2;

#[derive(Parser)]
#[command(
    name = "loadgen",
    version,
    about = "HTTP load generator that checks every response"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A server that sends fixed bytes: the ceiling of this machine
    #[command(
        after_help = "Example:\n  loadgen serve-null --driver monoio --listen 127.0.0.1:8090 \
                            --size 1024 --headers 5 --cpu 0"
    )]
    ServeNull(ServeNull),
}

#[derive(Args)]
struct ServeNull {
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

/// Reads the flags and does what they say.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::ServeNull(flags) => {
            let numbered = (1..=flags.headers).map(|n| (format!("X-Null-{n}"), n.to_string()));
            null_server::serve(&null_server::Options {
                driver: match flags.driver {
                    DriverName::Epoll => null_server::Driver::Epoll,
                    DriverName::Monoio => null_server::Driver::Monoio,
                },
                listen: flags.listen,
                body_bytes: flags.size,
                fields: numbered.chain(flags.header).collect(),
                cpu: flags.cpu,
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `Name: value` as it is written on a command line.
fn field_line(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("`{name}` is not a field name"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value
        .bytes()
        .any(|byte| byte != b'\t' && byte.is_ascii_control())
    {
        return Err("control characters cannot be sent in a field value".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
