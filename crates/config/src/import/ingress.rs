//! Ingress manifests: names, annotations, and what they route where. Kubernetes `networking.k8s.io/v1`
//! and the older `v1beta1`. Nothing else of the manifests is read.

use super::ImportError;
use super::document::{Node, Value, read_yaml};
use super::draft::Located;
use crate::report::clip;

/// One Ingress.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) annotations: Vec<(String, Located)>,
    pub(super) rules: Vec<HostRule>,
    /// Where the paths go that no rule names (`defaultBackend`).
    pub(super) default: Option<Backend>,
}

#[derive(Debug)]
pub(super) struct HostRule {
    /// `*` for every name.
    pub(super) host: String,
    pub(super) paths: Vec<PathRule>,
}

#[derive(Debug)]
pub(super) struct PathRule {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) kind: PathKind,
    pub(super) backend: Backend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    Exact,
    /// `Prefix`, and what the implementation makes of `ImplementationSpecific`.
    Prefix,
}

/// A service to fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    /// `service-port`, or `service` alone.
    pub(super) name: String,
    pub(super) server: String,
}

/// What ingress-nginx's own annotations begin with.
pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The manifests of a YAML stream, also those in a `List`, and bare annotations.
pub(super) fn read_manifests(text: &str) -> Result<Vec<Manifest>, ImportError> {
    let mut manifests = Vec::new();
    for document in read_yaml(text)? {
        collect(&document, &mut manifests)?;
    }
    if manifests.is_empty() {
        let message = "there is neither an Ingress nor an annotation of ingress-nginx in the input";
        return Err(ImportError::at(1, message));
    }
    Ok(manifests)
}

fn collect(document: &Node, manifests: &mut Vec<Manifest>) -> Result<(), ImportError> {
    if matches!(document.value, Value::Null) {
        return Ok(());
    }
    let entries = document.entries("a document")?;
    let kind = document
        .find("kind")
        .and_then(|kind| kind.text("kind").ok());
    match kind {
        Some("Ingress") => manifests.push(manifest_of(document)?),
        Some("List" | "IngressList") => {
            if let Some(items) = document.find("items") {
                for item in items.list("items")? {
                    collect(item, manifests)?;
                }
            }
        }
        Some(_) => {}
        None if entries.iter().any(|entry| entry.key.starts_with(PREFIX)) => {
            manifests.push(bare(document, document)?);
        }
        None => {
            let inside = document.find("metadata").unwrap_or(document);
            if let Some(annotations) = inside.find("annotations") {
                manifests.push(bare(document, annotations)?);
            }
        }
    }
    Ok(())
}

/// Annotations without the rest of their Ingress.
fn bare(document: &Node, annotations: &Node) -> Result<Manifest, ImportError> {
    Ok(Manifest {
        line: document.line,
        name: "annotations".to_owned(),
        annotations: annotations_of(annotations)?,
        rules: Vec::new(),
        default: None,
    })
}

fn annotations_of(node: &Node) -> Result<Vec<(String, Located)>, ImportError> {
    if matches!(node.value, Value::Null) {
        return Ok(Vec::new());
    }
    let mut annotations = Vec::new();
    for entry in node.entries("annotations")? {
        let Some(name) = entry.key.strip_prefix(PREFIX) else {
            continue;
        };
        let text = match &entry.node.value {
            Value::Null => String::new(),
            Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                entry.node.scalar("an annotation")?.to_owned()
            }
        };
        let line = entry.line;
        annotations.push((name.to_owned(), Located { text, line }));
    }
    Ok(annotations)
}

fn manifest_of(node: &Node) -> Result<Manifest, ImportError> {
    let metadata = node.find("metadata");
    let text = |key: &str| metadata.and_then(|node| node.find(key)?.scalar(key).ok());
    let namespace = text("namespace").unwrap_or("default");
    let annotations = match metadata.and_then(|node| node.find("annotations")) {
        Some(annotations) => annotations_of(annotations)?,
        None => Vec::new(),
    };
    let mut rules = Vec::new();
    let mut default = None;
    if let Some(spec) = node.find("spec") {
        let backend = spec.find("defaultBackend").or_else(|| spec.find("backend"));
        default = backend.map(|backend| backend_of(backend, namespace));
        if let Some(list) = spec.find("rules") {
            for rule in list.list("rules")? {
                rules.push(host_rule_of(rule, namespace)?);
            }
        }
        if rules.is_empty() && default.is_some() {
            rules.push(HostRule {
                host: "*".to_owned(),
                paths: Vec::new(),
            });
        }
    }
    Ok(Manifest {
        line: node.line,
        name: clip(text("name").unwrap_or("without a name")),
        annotations,
        rules,
        default,
    })
}

fn host_rule_of(rule: &Node, namespace: &str) -> Result<HostRule, ImportError> {
    let host = match rule.find("host") {
        Some(host) => host.scalar("host")?.to_owned(),
        None => "*".to_owned(),
    };
    let mut paths = Vec::new();
    if let Some(list) = rule.find("http").and_then(|http| http.find("paths")) {
        for path in list.list("paths")? {
            let text = match path.find("path") {
                Some(text) => text.scalar("path")?,
                None => "/",
            };
            let kind = match path.find("pathType").map(|kind| kind.scalar("pathType")) {
                Some(Ok("Exact")) => PathKind::Exact,
                Some(Ok(_)) | None => PathKind::Prefix,
                Some(Err(error)) => return Err(error),
            };
            let missing = || ImportError::at(path.line, "the path has no `backend`");
            paths.push(PathRule {
                line: path.line,
                path: text.to_owned(),
                kind,
                backend: backend_of(path.find("backend").ok_or_else(missing)?, namespace),
            });
        }
    }
    Ok(HostRule { host, paths })
}

fn backend_of(node: &Node, namespace: &str) -> Backend {
    let (service, port) = match node.find("service") {
        Some(service) => {
            let port = service.find("port");
            let number = plain(port.and_then(|port| port.find("number")));
            (plain(service.find("name")), number)
        }
        None => (
            plain(node.find("serviceName")),
            plain(node.find("servicePort")),
        ),
    };
    let service = label(service.unwrap_or_default(), "service");
    let namespace = label(namespace, "default");
    // A named port is the cluster's to know.
    match port
        .and_then(|port| port.parse::<u16>().ok())
        .filter(|port| *port > 0)
    {
        Some(port) => Backend {
            name: format!("{namespace}-{service}-{port}"),
            server: format!("http://{service}.{namespace}.svc.cluster.local:{port}"),
        },
        None => Backend {
            name: format!("{namespace}-{service}"),
            server: format!("http://{service}.{namespace}.svc.cluster.local"),
        },
    }
}

fn plain(node: Option<&Node>) -> Option<&str> {
    node?.scalar("a name").ok()
}

/// A DNS label (RFC 1123 §2.1), or the default for what is none.
fn label<'t>(text: &'t str, default: &'t str) -> &'t str {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label { text } else { default }
}
