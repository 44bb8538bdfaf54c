//! The same grammar a second time: plain, slow, allocating, and written without a look at the
//! first.

/// A head taken apart: the three parts of its start line, then names and values.
pub(super) type Head = ([Vec<u8>; 3], Vec<(Vec<u8>, Vec<u8>)>);

/// What a whole request head should be read as.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict<T> {
    Good(T),
    Bad,
    /// No empty line yet.
    Unfinished,
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn split(bytes: &[u8], separator: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, separator) {
        parts.push(rest[..at].to_vec());
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest.to_vec());
    parts
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |last| last + 1);
    value[start..end].to_vec()
}

/// Judges a request head within the default limits that has no empty lines before it.
pub(super) fn request(bytes: &[u8]) -> Verdict<Head> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Verdict::Unfinished;
    };
    match good_request(&bytes[..end]) {
        Some(head) => Verdict::Good(head),
        None => Verdict::Bad,
    }
}

fn good_request(head: &[u8]) -> Option<Head> {
    let lines = split(head, b"\r\n");
    if lines.iter().flatten().any(|&b| !is_text(b)) {
        return None;
    }
    let start = split(&lines[0], b" ");
    let start: [Vec<u8>; 3] = start.try_into().ok()?;
    let [method, target, version] = &start;
    let is_method = (1..=32).contains(&method.len()) && method.iter().all(|&b| is_tchar(b));
    let is_target = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    if !is_method || !is_target || (version != b"HTTP/1.1" && version != b"HTTP/1.0") {
        return None;
    }
    let mut fields = Vec::new();
    for line in &lines[1..] {
        let colon = find(line, b":")?;
        let name = &line[..colon];
        let spelled = String::from_utf8_lossy(name)
            .to_lowercase()
            .replace('_', "-");
        let is_framing = spelled == "content-length" || spelled == "transfer-encoding";
        if name.is_empty()
            || !name.iter().all(|&b| is_tchar(b))
            || (is_framing && name.contains(&b'_'))
        {
            return None;
        }
        fields.push((name.to_vec(), trimmed(&line[colon + 1..])));
    }
    Some((start, fields))
}

/// Data and length of a chunked body that is whole and good; extensions and trailers must be within
/// their limits.
pub(super) fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line_len = find(&bytes[at..], b"\r\n")?;
        let line = &bytes[at..at + line_len];
        at += line_len + 2;
        let digits = line.iter().position(|&b| b == b';').unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        let is_size = (1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        if !is_size || extension.len() > 256 || !extension.iter().all(|&b| is_text(b)) {
            return None;
        }
        let size = i64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(bytes.get(at..end)?);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let line_len = find(&bytes[at..], b"\r\n")?;
        let line = &bytes[at..at + line_len];
        at += line_len + 2;
        if line.is_empty() {
            return Some((data, at));
        }
        let name = &line[..find(line, b":")?];
        let is_name = !name.is_empty() && name.iter().all(|&b| is_tchar(b));
        if !is_name || !line.iter().all(|&b| is_text(b)) {
            return None;
        }
    }
}

/// The canonical form of a path that begins with a slash.
pub(super) fn canonical_path(path: &[u8]) -> Option<Vec<u8>> {
    let mut normal = String::new();
    let mut at = 0;
    while at < path.len() {
        let byte = path[at];
        at += 1;
        if byte == b'%' {
            let digits = std::str::from_utf8(path.get(at..at + 2)?).ok()?;
            if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            at += 2;
            match u8::from_str_radix(digits, 16).ok()? {
                0 => return None,
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                    normal.push(char::from(byte));
                }
                _ => normal.push_str(&format!("%{}", digits.to_uppercase())),
            }
        } else if !byte.is_ascii_graphic() || b"\\#?".contains(&byte) {
            return None;
        } else if b"\"<>[]^`{|}".contains(&byte) {
            normal.push_str(&format!("%{byte:02X}"));
        } else {
            normal.push(char::from(byte));
        }
    }
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = normal[1..].split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => {
                kept.pop()?;
            }
            other => kept.push(other),
        }
        if is_last && (*segment == "." || *segment == "..") {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")).into_bytes())
}

/// Members of a list, byte by byte.
pub(super) fn list_members(value: &[u8]) -> Vec<Vec<u8>> {
    let mut members = vec![Vec::new()];
    let (mut quoted, mut escaped) = (false, false);
    for &byte in value {
        if byte == b',' && !quoted {
            members.push(Vec::new());
            continue;
        }
        members.last_mut().expect("there is always one").push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    members
        .iter()
        .map(|member| trimmed(member))
        .filter(|member| !member.is_empty())
        .collect()
}
