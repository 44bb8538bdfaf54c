//! What is forgiven: which runs count, by what the scenario does to the server meanwhile.
//!
//! A wrong answer is forgiven only where the peer may say that it has none (a brown-out), a lost
//! request only where connections are broken on purpose. Both are counted all the same. Pure.

use anyhow::{bail, ensure};

use super::artefact::Storm;
use crate::report::Summary;

/// What a run must have been to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Every request answered, and rightly.
    EveryRequest,
    /// Every answer right, and one at least; requests may be lost.
    EveryAnswer,
    /// One answer at least.
    AnAnswer,
}

impl Demand {
    /// What is asked of timed runs under `storm`.
    pub(super) const fn while_timed(storm: Option<Storm>) -> Self {
        match storm {
            None | Some(Storm::Preflight) => Self::EveryRequest,
            // A peer that reloads may drop connections; what it answers has to be right.
            Some(Storm::Reload | Storm::Churn) => Self::EveryAnswer,
            // What a peer does without its upstream is what is measured.
            Some(Storm::BrownOut) => Self::AnAnswer,
        }
    }
}

/// Fails unless the run met `demand`.
///
/// # Errors
/// What was wrong first.
pub(super) fn judge(summary: &Summary, demand: Demand) -> anyhow::Result<()> {
    let sample = summary.sample.as_ref();
    let errors = &mut summary.error_texts.iter();
    Found {
        wrong: sample.map(|sample| (sample.rule.as_str(), sample.answer.as_str())),
        error: errors.next().map(|(kind, text)| (*kind, text.as_str())),
        errors: summary.errors,
        never_connected: summary.never_connected,
        requests: summary.requests,
    }
    .meets(demand)
}

/// What a run found, as far as it is judged.
#[derive(Debug, Clone, Copy, Default)]
struct Found<'a> {
    /// The first wrong answer: the rule it broke, and its text.
    wrong: Option<(&'a str, &'a str)>,
    /// The first lost request: kind and text.
    error: Option<(&'a str, &'a str)>,
    errors: u64,
    never_connected: bool,
    requests: u64,
}

impl Found<'_> {
    fn meets(self, demand: Demand) -> anyhow::Result<()> {
        let forgives_answers = match demand {
            Demand::EveryRequest | Demand::EveryAnswer => false,
            Demand::AnAnswer => true,
        };
        if let Some((rule, answer)) = self.wrong.filter(|_| !forgives_answers) {
            let head = answer.split("\r\n\r\n").next().unwrap_or_default();
            bail!("{rule}; it answered {head:?}");
        }
        let forgives_losses = match demand {
            Demand::EveryRequest => false,
            Demand::EveryAnswer | Demand::AnAnswer => self.requests > 0,
        };
        if forgives_losses {
            return Ok(());
        }
        if let Some((kind, text)) = self.error {
            bail!("{kind}: {text}");
        }
        ensure!(self.errors == 0, "{} requests were lost", self.errors);
        ensure!(!self.never_connected, "no connection could be made");
        ensure!(self.requests > 0, "nothing was answered");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_wrong_answers_are_forgiven_where_a_storm_makes_them() {
        let right = Found {
            requests: 9,
            ..Found::default()
        };
        let lost = Found {
            error: Some(("closed", "the server closed the connection")),
            errors: 2,
            ..right
        };
        let wrong = Found {
            wrong: Some(("a rule", "HTTP/1.1 504 X\r\n\r\n")),
            ..right
        };
        let both = Found {
            wrong: wrong.wrong,
            ..lost
        };
        let nothing = Found::default();
        let only_lost = Found {
            requests: 0,
            ..lost
        };
        let check = |storm, found: [bool; 6]| {
            let all = [right, lost, wrong, both, nothing, only_lost];
            let demand = Demand::while_timed(storm);
            assert_eq!(all.map(|it| it.meets(demand).is_ok()), found, "{storm:?}");
        };
        check(None, [true, false, false, false, false, false]);
        check(
            Some(Storm::Preflight),
            [true, false, false, false, false, false],
        );
        check(
            Some(Storm::Reload),
            [true, true, false, false, false, false],
        );
        check(Some(Storm::Churn), [true, true, false, false, false, false]);
        check(
            Some(Storm::BrownOut),
            [true, true, true, true, false, false],
        );
        let said = |found: Found<'_>| {
            let error = found
                .meets(Demand::EveryRequest)
                .expect_err("it is not right");
            error.to_string()
        };
        assert_eq!(said(both), "a rule; it answered \"HTTP/1.1 504 X\"");
        assert_eq!(said(lost), "closed: the server closed the connection");
        assert_eq!(said(nothing), "nothing was answered");
    }
}
