//! Why a head is refused, where, and what a client is told.
//!
//! RFC 9112 §2.2, §3, §5; RFC 9110 §15.5 (status codes). An error here is final: no later byte can
//! repair it.

use core::fmt;

/// A refused head: what is wrong and at which byte of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadError {
    /// What is wrong.
    pub kind: HeadErrorKind,
    /// Byte in the input, counted from the first byte given to the parser.
    pub offset: usize,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.kind.reason(), self.offset)
    }
}

impl core::error::Error for HeadError {}

macro_rules! head_error_kinds {
    ($($(#[$doc:meta])* $variant:ident $status:literal $reason:literal;)*) => {
        /// What is wrong with a head.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum HeadErrorKind {
            $($(#[$doc])* $variant,)*
        }

        impl HeadErrorKind {
            /// The status to answer with when a client sent it. From an upstream, each of them is a
            /// 502.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// A few words for the client and the log; never holds bytes of the input.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }
        }
    };
}

head_error_kinds! {
    /// A line ends with LF alone (RFC 9112 §2.2: we need not accept it, and others differ about
    /// it).
    BareLf 400 "line ends without CR";
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr 400 "CR without LF";
    /// NUL or another control byte.
    ControlByte 400 "control byte";
    /// More empty lines before the request than a client of good will sends.
    LeadingLines 400 "too many empty lines before the request";
    /// A line begins with white space: obsolete line folding, or space before the first field (RFC
    /// 9112 §5.2, §2.2).
    Folded 400 "line begins with white space";
    /// White space between field name and colon (RFC 9112 §5.1).
    SpaceBeforeColon 400 "white space before colon";
    /// A field line without colon.
    MissingColon 400 "field line without colon";
    /// A field line that begins with its colon.
    EmptyName 400 "empty field name";
    /// A byte that no field name has (RFC 9110 §5.1).
    NameByte 400 "invalid byte in field name";
    /// `_` for `-` in the name of a framing field: CGI-like servers read both alike.
    LookAlike 400 "field name imitates a framing field";
    /// The method is no token.
    Method 400 "malformed method";
    /// The method is longer than any we let through (RFC 9112 §3).
    MethodTooLong 501 "method too long";
    /// The request line is not `method SP target SP version`, or the target is empty.
    RequestLine 400 "malformed request line";
    /// A byte that no request target has (RFC 9112 §3.2; raw non-ASCII included).
    TargetByte 400 "invalid byte in request target";
    /// The request target is longer than 16 KiB or than the head may be (RFC 9110 §15.5.15).
    TargetTooLong 414 "request target too long";
    /// The last part of the request line is no HTTP version.
    Version 400 "malformed HTTP version";
    /// Another version than HTTP/1.0 and HTTP/1.1, HTTP/0.9 included (RFC 9110 §15.6.6).
    VersionUnsupported 505 "HTTP version not supported";
    /// More field lines than allowed.
    TooManyLines 431 "too many header lines";
    /// The head is longer than allowed.
    HeadTooLong 431 "header section too long";
    /// The status line of a response is malformed (RFC 9112 §4).
    StatusLine 502 "malformed status line";
}

impl HeadErrorKind {
    pub(crate) const fn at(self, offset: usize) -> HeadError {
        HeadError { kind: self, offset }
    }
}
