//! The command line, declared once: parsing, `--help` and its examples come from these types.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
use corsair_config::UpstreamFailure;
use corsair_config::import::ImportKind;

/// Version and, when it was built inside its repository, the commit.
pub(crate) const VERSION: &str = env!("CORSAIR_VERSION");

const EXAMPLES: &str = "\
Examples:
  corsair                               the demo, on 127.0.0.1:8080
  corsair run -c /etc/corsair/node.toml
  corsair check configs/*.toml";

const RUN_EXAMPLES: &str = "\
Examples:
  corsair run                           the demo: a built-in upstream behind a CORS policy
  corsair run -c node.toml
  corsair run -c node.toml --set listener.0.address=127.0.0.1:8081 --set cache.memory=1GiB

Signals:
  SIGHUP          reads the configuration again; with an error in it the old one stays
  SIGTERM SIGINT  stop accepting, let requests finish (node.drain_timeout); a SIGINT while that
                  lasts ends at once

Exit codes:
  0  every connection ended by itself    2  the configuration has errors, or wrong usage
  1  could not start                     3  connections were cut when the drain time was up
                                       130  ended at once by a second SIGINT";

const CHECK_EXAMPLES: &str = "\
Examples:
  corsair check node.toml
  corsair check --deny warnings configs/*.toml
  corsair check --format json node.toml | jq .diagnostics

Exit codes:
  0  clean
  1  warnings, with --deny warnings
  2  errors, or wrong usage";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  corsair explain -c node.toml http://cdn.example.com/a.woff2 -H 'Origin: https://app.example.com'
  corsair explain -c node.toml -X PUT http://cdn.example.com/api -H 'Origin: https://a.example' \\
      -H 'Content-Type: application/json'
  corsair explain -c node.toml http://cdn.example.com/a.woff2 -H 'Origin: https://a.example' \\
      --response-header 'Content-Type: font/woff2' --format json | jq .browser
  corsair explain -c node.toml http://cdn.example.com/a.woff2 -H 'Origin: https://a.example' \\
      --upstream-failure timeout

Exit codes:
  0  answered, whatever the answer
  2  the configuration has errors, or wrong usage";

const IMPORT_EXAMPLES: &str = "\
Examples:
  corsair import s3 cors.json > node.toml
  aws s3api get-bucket-cors --bucket B | corsair import s3 - > node.toml
  corsair import --deny differences gcs cors.json > node.toml
  kubectl get ingress -A -o yaml | corsair import ingress-nginx - > node.toml

Kinds:
  s3             bucket CORS of S3, JSON or XML
  oss            bucket CORS of Alibaba OSS, XML
  gcs            bucket CORS of Google Cloud Storage, JSON
  alibaba        response header settings of Alibaba CDN, JSON
  ingress-nginx  Ingress manifests with its annotations, YAML

Standard error tells what does not mean the same, each with a request that shows it.
A difference is decided differently for some browser; a note is not.

Exit codes:
  0  written
  1  differences, with --deny differences
  2  the input cannot be used, or wrong usage";

const DIFF_EXAMPLES: &str = "\
Examples:
  corsair diff live.toml next.toml
  corsair diff --format json live.toml next.toml | jq '.routes[].changes[]'

Routes are compared wherever some path and method takes both. Origins, methods, request headers,
content types and what goes out with a grant are compared exactly, also over several policies: the
first that passes decides. What cannot be proved counts as newly allowed: another decider (the node,
the upstream, both side by side), another upstream that decides, other header operations on the
fields that say who may read, embed or time a response, and patterns that cross so often that the
search is given up, which is told without an example.

Exit codes:
  0  nothing is newly allowed
  2  one of the two has errors, or wrong usage
  3  something is newly allowed, or may be";

const REFERENCE_EXAMPLES: &str = "\
Examples:
  corsair reference                     writes configs/REFERENCE.md and configs/corsair.schema.json
  corsair reference /tmp/reference

The schema lets editors complete and check a configuration while it is written.

Exit codes:
  0  both are written    1  a file cannot be written    2  wrong usage";

/// A caching HTTP edge node that decides CORS and response headers at the moment of serving.
#[derive(Debug, Parser)]
#[command(name = "corsair", version = VERSION, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Without a command, `run` is meant.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node; without -c, the demo.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Parse, compile and lint configurations: every problem at once, with its place and remedy.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArguments),
    /// Dry-run one request: which rules apply, what leaves, what a browser makes of it, and why.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArguments),
    /// Turn the CORS policy of another system into a configuration, and tell what differs.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArguments),
    /// Compare two configurations: what is newly allowed and newly refused, with an origin for each.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArguments),
    /// Write the reference of the configuration and its JSON schema.
    #[command(after_help = REFERENCE_EXAMPLES)]
    Reference(ReferenceArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The configuration; without it the embedded demo runs.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Change one value: a dotted path such as limits.idle_timeout=30s; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The configurations to check.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to write what was found.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// What else counts as a failure.
    #[arg(long, value_enum)]
    pub(crate) deny: Option<Deny>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The configuration.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Change one value, as for `run`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The request's method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// The whole URL that is asked for.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A header line of the request; may be repeated.
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// What the upstream is taken to answer.
    #[arg(long, value_name = "STATUS", default_value_t = 200)]
    pub(crate) response_status: u16,
    /// A header line of the upstream's answer; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) response_header: Vec<String>,
    /// The upstream is taken not to answer: what the node says instead, and who may read it.
    #[arg(long, value_enum, value_name = "FAILURE")]
    #[arg(conflicts_with_all = ["response_status", "response_header"])]
    pub(crate) upstream_failure: Option<FailureArgument>,
    /// How to write the answer.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReferenceArguments {
    /// Where to write both files; made when it is not there.
    #[arg(value_name = "DIRECTORY", default_value = "configs")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Whose policy it is.
    #[arg(value_enum, hide_possible_values = true)]
    pub(crate) kind: KindArgument,
    /// The policy; `-` is standard input.
    pub(crate) file: PathBuf,
    /// What counts as a failure.
    #[arg(long, value_enum)]
    pub(crate) deny: Option<DenyDifferences>,
}

/// A kind as a word of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KindArgument(pub(crate) ImportKind);

impl ValueEnum for KindArgument {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [KindArgument; ImportKind::ALL.len()] = {
            let mut all = [KindArgument(ImportKind::S3); ImportKind::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = KindArgument(ImportKind::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

/// A failure of the upstream as a word of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureArgument(pub(crate) UpstreamFailure);

impl ValueEnum for FailureArgument {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FailureArgument; UpstreamFailure::ALL.len()] = {
            let mut all = [FailureArgument(UpstreamFailure::Refused); UpstreamFailure::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = FailureArgument(UpstreamFailure::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

/// What `import --deny` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DenyDifferences {
    /// Differences are failures.
    Differences,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The configuration before.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The configuration after.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// How to write what was found.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// What `--deny` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings are failures.
    Warnings,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn check(words: &str, expected: Result<&str, ErrorKind>) {
        let parsed = Cli::try_parse_from(words.split(' '));
        let got = parsed.map(|cli| match cli.command {
            None => format!("implied run {:?} {:?}", cli.run.config, cli.run.set),
            Some(Command::Run(a)) => format!("run {:?} {:?}", a.config, a.set),
            Some(Command::Check(a)) => format!("check {:?} {:?} {:?}", a.files, a.format, a.deny),
            Some(Command::Diff(a)) => format!("diff {:?} {:?} {:?}", a.old, a.new, a.format),
            Some(Command::Explain(a)) => format!(
                "explain {:?} {} {} {:?} {} {:?}",
                a.config, a.method, a.url, a.header, a.response_status, a.response_header
            ),
            Some(Command::Import(a)) => {
                format!("import {} {:?} {:?}", a.kind.0.as_str(), a.file, a.deny)
            }
            Some(Command::Reference(a)) => format!("reference {:?}", a.directory),
        });
        assert_eq!(
            got.as_deref().map_err(clap::Error::kind),
            expected,
            "{words}"
        );
    }

    #[test]
    fn command_lines() {
        Cli::command().debug_assert();
        check("corsair", Ok("implied run None []"));
        check("corsair --set a.b=1", Ok("implied run None [\"a.b=1\"]"));
        check("corsair -c x.toml", Ok("implied run Some(\"x.toml\") []"));
        check("corsair run", Ok("run None []"));
        check(
            "corsair run -c x --set a=1 --set b=2",
            Ok("run Some(\"x\") [\"a=1\", \"b=2\"]"),
        );
        check("corsair run --config x", Ok("run Some(\"x\") []"));
        check("corsair check a b", Ok("check [\"a\", \"b\"] Human None"));
        check(
            "corsair check a --format json --deny warnings",
            Ok("check [\"a\"] Json Some(Warnings)"),
        );
        check("corsair diff a b", Ok("diff \"a\" \"b\" Human"));
        check("corsair diff a", Err(ErrorKind::MissingRequiredArgument));
        check(
            "corsair explain -c x http://a/",
            Ok("explain \"x\" GET http://a/ [] 200 []"),
        );
        check(
            "corsair explain -c x -X PUT http://a/ -H A:b --response-status 404 \
             --response-header C:d",
            Ok("explain \"x\" PUT http://a/ [\"A:b\"] 404 [\"C:d\"]"),
        );
        for failure in UpstreamFailure::ALL.map(UpstreamFailure::as_str) {
            let line = format!("corsair explain -c x http://a/ --upstream-failure {failure}");
            check(&line, Ok("explain \"x\" GET http://a/ [] 200 []"));
        }
        check(
            "corsair explain -c x http://a/ --upstream-failure refused --response-status 404",
            Err(ErrorKind::ArgumentConflict),
        );
        check(
            "corsair explain -c x http://a/ --upstream-failure gone",
            Err(ErrorKind::InvalidValue),
        );
        check(
            "corsair explain http://a/",
            Err(ErrorKind::MissingRequiredArgument),
        );
        check("corsair check", Err(ErrorKind::MissingRequiredArgument));
        check("corsair check a --format xml", Err(ErrorKind::InvalidValue));
        check(
            "corsair check a --deny errors",
            Err(ErrorKind::InvalidValue),
        );
        for kind in ImportKind::ALL.map(ImportKind::as_str) {
            let got = format!("import {kind} \"-\" None");
            check(&format!("corsair import {kind} -"), Ok(&got));
        }
        check(
            "corsair import s3 a --deny differences",
            Ok("import s3 \"a\" Some(Differences)"),
        );
        check("corsair import r2 a", Err(ErrorKind::InvalidValue));
        check("corsair import s3", Err(ErrorKind::MissingRequiredArgument));
        check("corsair reference", Ok("reference \"configs\""));
        check("corsair reference a", Ok("reference \"a\""));
        check("corsair reference a b", Err(ErrorKind::UnknownArgument));
        check("corsair run a", Err(ErrorKind::UnknownArgument));
        check("corsair fly", Err(ErrorKind::InvalidSubcommand));
        check("corsair -c x check a", Err(ErrorKind::ArgumentConflict));
        check("corsair --version", Err(ErrorKind::DisplayVersion));
        check("corsair run --help", Err(ErrorKind::DisplayHelp));
    }

    #[test]
    fn every_help_has_an_example_and_fits_the_terminal() {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut texts = vec![root.render_help().to_string()];
        texts.extend(
            root.get_subcommands_mut()
                .map(|sub| sub.render_help().to_string()),
        );
        assert_eq!(texts.len(), 7);
        // A line that is wrapped by the terminal leaves one word on the next.
        for sub in root.get_subcommands() {
            let behind = sub.get_after_help().map(ToString::to_string);
            let long = behind.unwrap_or_default();
            let long = long.lines().find(|line| line.chars().count() > 100);
            assert_eq!(long, None, "{}", sub.get_name());
        }
        for text in texts {
            assert!(text.contains("Examples:\n  corsair "), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
        }
    }

    #[test]
    fn the_version_names_no_path() {
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")), "{VERSION}");
        assert!(!VERSION.contains('/'), "{VERSION}");
    }
}
