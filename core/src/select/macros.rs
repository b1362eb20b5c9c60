//! The macro, which is [`select_any`](super::select_any) for arms known when the program is written.

/// Waits for whichever of several events comes first, and runs what stands behind it.
///
/// ```text
/// select! {
///     pattern = event => expression,      // any number of arms
///     biased;                             // first of all, if at all: the first arm that is ready wins
///     default => expression,              // last of all, if at all: when no arm is ready, do not wait
/// }
/// ```
///
/// An event is a [`channel::Receiver`](crate::channel::Receiver), a `sender.sending(item)`, a
/// [`oneshot::Receiver`](crate::channel::oneshot::Receiver), a [`JoinHandle`](crate::JoinHandle) or
/// [`Coroutine`](crate::Coroutine), [`after`](crate::select::after) a time or [`at`](crate::select::at) one,
/// a `source.ready(direction, name)`, a [`WaitQueue`](crate::WaitQueue), or any other
/// [`IntoArm`](crate::select::IntoArm). What can be waited for again is borrowed, not consumed.
/// The pattern must match whatever the event gives.
/// The event is borrowed for as long as the select lasts, so one that was just made is bound to a name first:
/// `let child = spawn(f); select! { ended = &child => … }`, not `ended = &spawn(f)`.
///
/// Which of several arms that are ready is taken is a matter of chance, by the runtime's generator, unless `biased`.
/// The other arms have not happened: nothing is received, sent or joined by them.
/// Expressions may use `break`, `continue`, `return` and `?`.
///
/// # Cancellation
///
/// Unwinds; no arm has happened then.
///
/// # Panics
///
/// Outside a coroutine, if it must wait.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::select::after;
/// use grapeshot_core::{channel, select, spawn, test};
///
/// test::run(|| {
///     let (sender, numbers) = channel::bounded(4);
///     let producer = spawn(move || (1..=3).for_each(|number| sender.send(number).unwrap()));
///     let mut sum = 0;
///     loop {
///         select! {
///             number = numbers => match number {
///                 Ok(number) => sum += number,
///                 Err(_) => break,
///             },
///             () = after(Duration::from_secs(1)) => panic!("the producer is late"),
///         }
///     }
///     producer.join().unwrap();
///     assert_eq!(sum, 6);
/// });
/// ```
#[macro_export]
macro_rules! select {
    (@arms $how:ident ($($done:tt)*) $pattern:pat = $event:expr => $then:expr) => {
        $crate::select!(@arms $how ($($done)*) $pattern = $event => $then,)
    };
    (@arms $how:ident ($($done:tt)*) $pattern:pat = $event:expr => $then:expr, $($rest:tt)*) => {
        $crate::select!(@arm $how ($($done)*) ($pattern, $event, $then) $($rest)*)
    };
    (@arms $how:ident ($($done:tt)*) $pattern:pat = $event:expr => $then:block $($rest:tt)+) => {
        $crate::select!(@arm $how ($($done)*) ($pattern, $event, $then) $($rest)+)
    };
    (@arms $how:ident ($(($arm:ident, $pattern:pat, $then:expr))+)) => {{
        let chosen = $crate::select::$how(&mut [$(&mut $arm as &mut dyn $crate::select::Selectable),+]);
        $crate::select!(@run chosen $(($arm, $pattern, $then))+)
    }};
    (@arms $how:ident ($(($arm:ident, $pattern:pat, $then:expr))+) default => $otherwise:expr $(,)?) => {{
        match $crate::select::try_select_any(&mut [$(&mut $arm as &mut dyn $crate::select::Selectable),+]) {
            Some(chosen) => $crate::select!(@run chosen $(($arm, $pattern, $then))+),
            None => $otherwise,
        }
    }};
    (@arms $($unreadable:tt)*) => {
        compile_error!("an arm of select! is `pattern = event => what to do`, with a comma between arms; `default => what to do` comes last")
    };
    (@arm $how:ident ($($done:tt)*) ($pattern:pat, $event:expr, $then:expr) $($rest:tt)*) => {{
        #[allow(unused_imports)]
        use $crate::select::IntoArm as _;
        let mut arm = $event.into_arm();
        $crate::select!(@arms $how ($($done)* (arm, $pattern, $then)) $($rest)*)
    }};
    (@run $chosen:ident ($arm:ident, $pattern:pat, $then:expr) $($rest:tt)*) => {
        if $chosen == 0 {
            let $pattern = $crate::select::Arm::into_output($arm);
            $then
        } else {
            let chosen = $chosen - 1;
            $crate::select!(@run chosen $($rest)*)
        }
    };
    (@run $chosen:ident) => {{
        let _ = $chosen;
        unreachable!("select chose an arm that is not there")
    }};
    (biased; $($arms:tt)+) => {
        $crate::select!(@arms select_in_order () $($arms)+)
    };
    ($($arms:tt)+) => {
        $crate::select!(@arms select_any () $($arms)+)
    };
}
