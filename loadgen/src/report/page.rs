//! What every HTML page here has in common: its head with the style sheet, and text that cannot
//! leave its place. No script, nothing loaded from elsewhere, light and dark, readable on a phone.

/// Everything before the title.
pub(super) const HEAD_BEGIN: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\">\
<meta name=color-scheme content=\"light dark\"><title>";

/// Everything between the title and the contents. The colours `--s0` to `--s11` are those of
/// [`super::plot`]; `h…` are the steps of a heat map, worst to best for who wrote the page.
pub(super) const HEAD_END: &str = "</title><style>
:root{--paper:#fff;--ink:#1c1e21;--faint:#d8dce2;--mid:#5b6470;--soft:#f4f6f8;--bad:#c92a2a;
--s0:#1f6feb;--s1:#d9480f;--s2:#2b8a3e;--s3:#9c36b5;--s4:#a07900;--s5:#0b7285;--s6:#c2255c;
--s7:#5f3dc4;--s8:#868e96;--s9:#495057;--s10:#7f4f24;--s11:#5c940d;
--h0:#f0a58f;--h1:#f8cdbf;--h2:#eceef1;--h3:#cfe3fb;--h4:#a3c9f7;--h5:#79b0f2;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e6e8eb;--faint:#343a43;--mid:#a3acb8;
--soft:#1d2026;--bad:#ff8787;--s0:#6ea8fe;--s1:#ff922b;--s2:#69db7c;--s3:#da77f2;--s4:#ffd43b;
--s5:#3bc9db;--s6:#f783ac;--s7:#b197fc;--s8:#868e96;--s9:#ced4da;--s10:#d4a373;--s11:#a9e34b;
--h0:#8a3a24;--h1:#5c3023;--h2:#2a2e35;--h3:#1b3657;--h4:#1f4a7d;--h5:#2561a8}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:74rem;margin:0 auto;padding:1rem}h1{font-size:1.35rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1rem 0 .3rem}
p{margin:.5rem 0;overflow-wrap:anywhere}a{color:var(--s0)}code{overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,31rem),1fr));gap:.4rem 1.4rem}
figure{margin:.4rem 0;min-width:0}figcaption{font-weight:600;font-size:.95rem}
.plot{overflow-x:auto}svg{width:100%;min-width:21rem;height:auto;display:block}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.82rem;padding:0 .3rem}
.legend i{display:inline-block;width:1.1rem;height:.2rem;margin-right:.35rem;vertical-align:middle}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.6rem}
.tiles div{border:1px solid var(--faint);border-radius:.4rem;padding:.5rem .7rem}
.tiles b{display:block;font-size:1.15rem}.tiles span,.note{color:var(--mid);font-size:.85rem}
.bad{color:var(--bad)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
td:first-child,th:first-child{text-align:left}
td:first-child{white-space:normal;overflow-wrap:break-word;min-width:8rem;max-width:24rem}td.text,th.text{text-align:left;white-space:normal}
td.wide{min-width:14rem}
td.text code{white-space:normal}th{font-weight:600}
.heat td,.heat th{padding:.25rem .3rem}.heat td{border:1px solid var(--paper);text-align:center;font-variant-numeric:tabular-nums}
.heat th{text-align:center}.heat td:first-child,.heat th:first-child,.heat th[colspan]{text-align:left}.heat small{display:block;font-size:.72rem;color:var(--ink);opacity:.8}
.heat td:first-child,.heat th:first-child{position:sticky;left:0;background:var(--paper)}
.h0{background:var(--h0)}.h1{background:var(--h1)}.h2{background:var(--h2)}.h3{background:var(--h3)}
.h4{background:var(--h4)}.h5{background:var(--h5)}
pre{overflow-x:auto;border:1px solid var(--faint);background:var(--soft);border-radius:.4rem;
padding:.6rem;font-size:.82rem;margin:.4rem 0}
details{border:1px solid var(--faint);border-radius:.4rem;padding:.3rem .7rem;margin:.4rem 0}
summary{cursor:pointer;overflow-wrap:anywhere}
@media(max-width:40rem){main{padding:.7rem}td:first-child{min-width:6.5rem;max-width:9.5rem;white-space:normal;
overflow-wrap:break-word}}
</style></head><body><main>";

/// Everything after the contents.
pub(super) const END: &str = "</main></body></html>\n";

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A word as a shell takes it.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("<a href=\"'&"), "&lt;a href=&quot;&#39;&amp;");
        assert_eq!(shell_word("-c"), "-c");
        assert_eq!(shell_word("A: b'c"), "'A: b'\\''c'");
        assert_eq!(shell_word(""), "''");
    }
}
