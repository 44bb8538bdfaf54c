//! How a suite's document is laid out: a record a line, so that two of them can be compared with
//! `diff`, and numbers with as many digits as mean something.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// Significant digits of a number that is not whole.
const DIGITS: usize = 5;

/// How deep values still begin a line: the document's own fields, and members of its lists.
const LINES_TO_DEPTH: usize = 2;

/// Breaks lines down to the records, and rounds.
#[derive(Debug, Default)]
pub(super) struct RecordLines {
    depth: usize,
    /// Whether the array or object that ends has anything in it.
    has_value: bool,
}

impl RecordLines {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, place: Place) -> io::Result<()> {
        if place == Place::Later {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.has_value {
            let is_line = self.depth <= LINES_TO_DEPTH;
            self.depth -= 1;
            if is_line {
                writer.write_all(b"\n")?;
                writer.write_all(&b"  "[..self.depth])?;
            }
        } else {
            self.depth -= 1;
        }
        self.has_value = true;
        writer.write_all(bracket)
    }

    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        if self.depth > LINES_TO_DEPTH {
            return Ok(());
        }
        writer.write_all(b"\n")?;
        writer.write_all(&b"  "[..self.depth])
    }
}

/// Which value of a list or object comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

impl From<bool> for Place {
    fn from(is_first: bool) -> Self {
        if is_first { Self::First } else { Self::Later }
    }
}

impl Formatter for RecordLines {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let rounded: f64 = format!("{value:.*e}", DIGITS - 1)
            .parse()
            .map_err(io::Error::other)?;
        write!(writer, "{rounded}")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first.into())
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first.into())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize as _;
    use serde_json::json;

    #[test]
    fn records_are_lines() {
        let check = |value: serde_json::Value, expected: &str| {
            let mut text = Vec::new();
            let mut writer =
                serde_json::Serializer::with_formatter(&mut text, RecordLines::default());
            value.serialize(&mut writer).expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        };
        check(json!({}), "{}");
        check(json!({"a": []}), "{\n \"a\":[]\n}");
        check(
            json!({"a": [{"b": [1, 2]}, {"c": {}}]}),
            "{\n \"a\":[\n  {\"b\":[1,2]},\n  {\"c\":{}}\n ]\n}",
        );
        check(
            json!([0.123_456_789, 123_456.0, 1e-9, -2.5, 7]),
            "[\n 0.12346,\n 123460,\n 0.000000001,\n -2.5,\n 7\n]",
        );
    }
}
