//! Text that is not TOML: each fault is told once, where it begins, and hides nothing else.

use corsair_config::{NoFiles, check};

/// Around the faulty lines: right before them, and with one unknown key behind them, which is told
/// only if what stands behind the fault is still read for what it is.
const BEFORE: &str = "[[listener]]\naddress = \"127.0.0.1:8080\"\n";
const BEHIND: &str = "\n[limits]\ntpyo = 1\n";

/// Line within the faulty text (from 1), column and code.
type Told = (usize, usize, &'static str);

/// Checks every diagnostic about the faulty text.
fn check_fault(fault: &str, expected: &[Told]) {
    let text = format!("{BEFORE}{fault}{BEHIND}");
    let checked = check("a.toml", &text, &NoFiles);
    assert!(checked.plan.is_none(), "{fault}");
    let [faults @ .., behind] = checked.diagnostics.as_slice() else {
        panic!("{fault}: nothing")
    };
    assert_eq!(
        (behind.code, behind.column),
        ("E010", 1),
        "{fault}: {:?}",
        checked.diagnostics
    );
    assert_eq!(behind.line, text.lines().count(), "{fault}: {behind}");
    let got: Vec<(usize, usize, &str)> = faults
        .iter()
        .map(|found| (found.line - 2, found.column, found.code))
        .collect();
    assert_eq!(got, expected, "{fault}: {:?}", checked.diagnostics);
}

#[test]
fn faults_are_told_where_they_begin_and_hide_nothing() {
    #[rustfmt::skip]
    let rows: &[(&str, &[Told])] = &[
        // Values.
        ("[node]\nname = edge-1", &[(2, 8, "E001")]),
        ("[node]\nname =", &[(2, 7, "E001")]),
        ("[node]\nname = \"edge", &[(2, 13, "E001")]),
        ("[node]\nname = 'edge", &[(2, 13, "E001")]),
        ("[node]\nname = \"a\\qb\"", &[(2, 11, "E001")]),
        ("[node]\nname = \"a\" \"b\"", &[(2, 12, "E001")]),
        ("[node]\nworkers = 1_", &[(2, 12, "E001")]),
        // Keys and sections.
        ("[node]\nname \"edge\"", &[(2, 6, "E001")]),
        ("[node\nname = \"edge\"", &[(1, 6, "E001")]),
        ("[[site]\nhosts = [\"a\"]", &[(1, 8, "E001")]),
        ("[node]\nworkers = 1\nworkers = 2", &[(3, 1, "E002")]),
        ("[node]\nworkers = 1\n[node]\nworkers = 2", &[(3, 2, "E002"), (4, 1, "E002")]),
        ("just words", &[(1, 6, "E001")]),
        // What never closes.
        ("[[site]]\nhosts = [\"a\", \"b\"\nupstream = \"u\"", &[(2, 9, "E001")]),
        ("[[site]]\nhosts = [\n  \"a\",\n  \"b\",\nupstream = \"u\"", &[(2, 9, "E001")]),
        ("[[site]]\nhosts = [\"a]\nupstream = \"u\"", &[(2, 9, "E001")]),
        ("[[site]]\ncors = { origins = [\"*\"]\nupstream = \"u\"", &[(2, 8, "E001")]),
        ("[[site]]\nhosts = [\"a\" \"b\"]", &[(2, 14, "E001")]),
        ("[[site]]\nhosts = [\n  \"a\"\n  \"b\"\n]", &[(4, 3, "E001")]),
        // Several at once, beside what is not about syntax.
        (
            "[node]\nname = edge\nworkers = 99\nnmae = 1\n[admin\n[cache]\nmemory = 5\nmemory 6",
            &[
                (2, 8, "E001"), (3, 11, "E021"), (4, 1, "E010"), (5, 7, "E001"), (7, 10, "E011"),
                (8, 8, "E001"),
            ],
        ),
    ];
    for (fault, expected) in rows {
        check_fault(fault, expected);
    }
}

#[test]
fn a_text_that_never_closes_takes_the_rest_with_it() {
    let text = format!("{BEFORE}[node]\nname = \"\"\"edge\n{BEHIND}");
    let checked = check("a.toml", &text, &NoFiles);
    let [found] = checked.diagnostics.as_slice() else {
        panic!("{:?}", checked.diagnostics)
    };
    assert_eq!(
        (found.code, found.line, found.column),
        ("E001", 4, 8),
        "{found}"
    );
    assert_eq!(found.message, "the text that begins here is not closed");
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        for depth in [79, 81, 10_000] {
            let text = format!("x = {}1{}\n", open.repeat(depth), close.repeat(depth));
            let checked = check("a.toml", &text, &NoFiles);
            let is_syntax = checked.diagnostics.iter().any(|found| found.code == "E001");
            assert_eq!(is_syntax, depth > 80, "{depth} times {open}");
        }
    }
}
