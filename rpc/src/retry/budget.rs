//! How many attempts may be repeats, so that retries cannot multiply an outage.
//!
//! Each call that is answered earns a share of a repeat, and a minimum is there in any case.
//! What was earned counts for a while only: a long good time does not pay for a storm of repeats.
//! The defaults are those of Finagle (a fifth of the calls, ten repeats a second besides, ten seconds; Finagle's blog,
//! "Retry Budgets", 2016), but there every call earns, and here only one that is answered, be it with a failure of the service's own:
//! when nothing works any more, the minimum is all that is left.
//!
//! # Invariants
//!
//! - Within any time of `window` no more is repeated than the minimum and the share of what was answered allow,
//!   give or take what falls into one tenth of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::now;

/// What one repeat costs: answers earn whole percents of one.
const REPEAT: u64 = 100;

/// Into how many parts the window is cut. What is earned or spent is forgotten by the part.
const PARTS: usize = 10;

/// The settings of a [`RetryBudget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetOptions {
    /// How many repeats 100 calls that are answered pay for. 20.
    pub percent: u32,
    /// How many repeats a second are free. 10.
    pub minimum_per_second: u32,
    /// How long earnings and expenses count. 10 s; at least 10 ms.
    pub window: Duration,
}

impl Default for BudgetOptions {
    fn default() -> BudgetOptions {
        BudgetOptions { percent: 20, minimum_per_second: 10, window: Duration::from_secs(10) }
    }
}

/// An allowance of repeats. Clones share it, so that the callers of one program can have one in common.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::retry::{BudgetOptions, RetryBudget};
///
/// let options = BudgetOptions { percent: 20, minimum_per_second: 0, ..BudgetOptions::default() };
/// let budget = RetryBudget::new(options);
/// assert!(!budget.try_spend());
/// for _success in 0..5 {
///     budget.earn();
/// }
/// assert!(budget.try_spend());
/// assert!(!budget.try_spend());
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    options: BudgetOptions,
    account: Rc<RefCell<Account>>,
}

struct Account {
    epoch: Instant,
    /// The part of time that the last of `parts` stands for, counted since the epoch.
    latest: u64,
    parts: [Part; PARTS],
}

#[derive(Clone, Copy, Default)]
struct Part {
    earned: u64,
    spent: u64,
}

impl RetryBudget {
    /// A budget that nothing was spent of.
    pub fn new(options: BudgetOptions) -> RetryBudget {
        let account = Account { epoch: now(), latest: 0, parts: [Part::default(); PARTS] };
        RetryBudget { options, account: Rc::new(RefCell::new(account)) }
    }

    /// Counts a call that was answered.
    pub fn earn(&self) {
        let mut account = self.account.borrow_mut();
        let part = account.current(self.part_length());
        part.earned = part.earned.saturating_add(self.options.percent.into());
    }

    /// Takes one repeat, if there is one to be had.
    pub fn try_spend(&self) -> bool {
        let mut account = self.account.borrow_mut();
        account.current(self.part_length());
        let free = self.free();
        let allowed = account.balance(free) >= REPEAT;
        if allowed {
            account.current(self.part_length()).spent += REPEAT;
        }
        allowed
    }

    /// How many repeats could be made now.
    pub fn available(&self) -> u64 {
        let mut account = self.account.borrow_mut();
        account.current(self.part_length());
        account.balance(self.free()) / REPEAT
    }

    /// What a whole window has for nothing.
    fn free(&self) -> u64 {
        let millis = u64::try_from(self.options.window.as_millis()).unwrap_or(u64::MAX);
        u64::from(self.options.minimum_per_second).saturating_mul(millis).saturating_mul(REPEAT) / 1000
    }

    fn part_length(&self) -> Duration {
        (self.options.window / PARTS as u32).max(Duration::from_millis(1))
    }
}

impl Account {
    /// The part of time that it is now; those that have left the window are forgotten.
    fn current(&mut self, length: Duration) -> &mut Part {
        let elapsed = now().saturating_duration_since(self.epoch).as_nanos() / length.as_nanos();
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX).max(self.latest);
        let passed = usize::try_from(now - self.latest).unwrap_or(PARTS).min(PARTS);
        self.parts.rotate_left(passed);
        self.parts[PARTS - passed..].fill(Part::default());
        self.latest = now;
        &mut self.parts[PARTS - 1]
    }

    fn balance(&self, free: u64) -> u64 {
        let earned = self.parts.iter().fold(free, |sum, part| sum.saturating_add(part.earned));
        self.parts.iter().fold(earned, |left, part| left.saturating_sub(part.spent))
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::new(BudgetOptions::default())
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetryBudget({} repeats available)", self.available())
    }
}

#[cfg(test)]
mod tests {
    use grapeshot_core::{sleep, test};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spend_all(budget: &RetryBudget) -> usize {
        (0..100_000).take_while(|_| budget.try_spend()).count()
    }

    #[test]
    fn the_minimum_is_there_without_any_success_and_no_more() {
        test::run(|| {
            let budget = RetryBudget::default();
            assert_eq!(spend_all(&budget), 100);
            sleep(SECOND * 5);
            assert_eq!(spend_all(&budget), 0);
            sleep(SECOND * 6);
            assert_eq!(spend_all(&budget), 100);
        });
    }

    #[test]
    fn a_fifth_of_what_succeeds_may_be_repeated() {
        test::run(|| {
            let budget = RetryBudget::new(BudgetOptions { minimum_per_second: 0, ..BudgetOptions::default() });
            (0..1000).for_each(|_| budget.earn());
            assert_eq!(budget.available(), 200);
            assert_eq!(spend_all(&budget), 200);
        });
    }

    #[test]
    fn what_was_earned_long_ago_does_not_count() {
        test::run(|| {
            let budget = RetryBudget::new(BudgetOptions { minimum_per_second: 0, ..BudgetOptions::default() });
            (0..1000).for_each(|_| budget.earn());
            sleep(SECOND * 11);
            assert_eq!(spend_all(&budget), 0);
        });
    }

    #[test]
    fn an_outage_gets_the_minimum_rate_however_long_it_lasts() {
        test::run(|| {
            let budget = RetryBudget::default();
            let mut spent = 0;
            for _tenth in 0..1000 {
                spent += spend_all(&budget);
                sleep(SECOND / 10);
            }
            // 100 seconds at 10 a second; the first window may come early.
            assert!((900..=1100).contains(&spent), "{spent}");
        });
    }

    #[test]
    fn clones_share_one_account() {
        let budget = RetryBudget::new(BudgetOptions { minimum_per_second: 1, percent: 0, window: SECOND });
        assert!(budget.clone().try_spend());
        assert!(!budget.try_spend());
    }
}
