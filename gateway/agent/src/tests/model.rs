//! Random phones and networks against the agent, judged by two small models: what the phone may hear, and what the SIP stack may be
//! asked. In `chaos` the stack breaks every rule of its face; in `lawful` it keeps them, and everything must come to its end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};

use super::{any::*, *};

/// What the phone believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Idle,
    Calling,
    Pending,
    Accepting,
    InCall { held: bool },
}

/// Checks every output of one agent.
struct Judge {
    view: View,
    media: bool,
    connected: u32,
    finished: u32,
    invites: u32,
    /// Invites that ended by `accepted`, `rejected`, or the phone's own `bye`.
    settled: u32,
    /// What the phone has asked to be told.
    topics: Topics,
    /// It asked for both sides of the registration before `connect`; and what it was told last.
    watching: bool,
    registered: bool,
    /// Its own messages of which it has not heard.
    sent: BTreeSet<MessageHandle>,
    /// Messages that the stack wants answered.
    owed: BTreeSet<MessageHandle>,
}

impl Judge {
    fn new() -> Self {
        Self {
            view: View::Idle,
            media: false,
            connected: 0,
            finished: 0,
            invites: 0,
            settled: 0,
            topics: Topics::default(),
            watching: false,
            registered: false,
            sent: BTreeSet::new(),
            owed: BTreeSet::new(),
        }
    }

    /// The phone's own view changes with what it says, before it hears anything.
    fn before(&mut self, input: &Input) {
        match input {
            Input::Command(Command::Invite { .. }) => self.invites += 1,
            Input::Command(Command::Bye | Command::Disconnect) => {
                self.settled += u32::from(self.view == View::Calling);
                self.view = View::Idle;
            }
            Input::Command(Command::Reject { .. }) if self.view == View::Pending => self.view = View::Idle,
            Input::Command(Command::Subscribe(topics)) => {
                self.topics = self.topics.union(*topics);
                let both = topics.contains(Topic::Registered) && topics.contains(Topic::Unregistered);
                self.watching |= both && self.connected == 0;
            }
            Input::Command(Command::SendMessage { message, .. } | Command::SendPagingMessage { message, .. }) => {
                self.sent.insert(*message);
            }
            Input::Sip(SipEvent::MessageReceived { message, .. }) => {
                self.owed.insert(*message);
            }
            _ => {}
        }
    }

    fn after(&mut self, input: &Input, outputs: &[Output]) {
        let was = self.view;
        for output in outputs {
            assert_eq!(self.finished, 0, "nothing follows the end: {output:?}");
            match output {
                Output::Finished => self.finished += 1,
                Output::Media(action) => self.hear_media(action),
                Output::Indication(indication) => self.hear(input, indication),
                Output::Sip(SipAction::Invite { .. }) => self.move_on(was, View::Idle, View::Calling),
                Output::Sip(SipAction::Answer { .. }) => self.move_on(was, View::Pending, View::Accepting),
                Output::Sip(SipAction::AnswerMessage { message, .. }) => assert!(self.owed.remove(message)),
                Output::Sip(_) => {}
            }
        }
        assert!(self.owed.is_empty() || self.finished > 0, "every message is answered at once");
    }

    fn move_on(&mut self, was: View, from: View, to: View) {
        assert_eq!(was, from);
        self.view = to;
    }

    fn hear_media(&mut self, action: &MediaAction) {
        let starts = matches!(action, MediaAction::Start { .. });
        assert_eq!(self.media, !starts, "start and stop alternate, the rest lies between: {action:?}");
        self.media = *action != MediaAction::Stop;
    }

    fn hear(&mut self, input: &Input, indication: &Indication) {
        if let Some(topic) = indication.topic() {
            assert!(self.topics.contains(topic), "{indication:?} to a phone that did not ask for it");
            return self.hear_more(input, indication);
        }
        let refused_at_once =
            matches!(input, Input::Command(Command::Invite { .. })) && matches!(indication, Indication::Rejected(_));
        self.view = match (self.view, indication) {
            (view, Indication::Rejected(_)) if refused_at_once => {
                self.settled += 1;
                view
            }
            (view, Indication::Connected | Indication::ConnectRejected(_)) => {
                self.connected += 1;
                assert_eq!(self.connected, 1);
                view
            }
            (View::Idle, Indication::Invited { .. }) => View::Pending,
            (View::Pending, Indication::Cancelled { .. }) => View::Idle,
            (View::Calling, Indication::Ringing(_)) => View::Calling,
            (View::Calling, Indication::Rejected(_)) => {
                self.settled += 1;
                View::Idle
            }
            (View::Calling, Indication::Accepted(_)) => {
                self.settled += 1;
                View::InCall { held: false }
            }
            (View::Accepting, Indication::Accepted(_)) => View::InCall { held: false },
            // An accept that fails at once, or later.
            (View::Pending | View::Accepting | View::InCall { .. }, Indication::Byed) => View::Idle,
            (View::InCall { held }, Indication::Holded(now)) if held != *now => View::InCall { held: *now },
            (view, indication) => panic!("{indication:?} makes no sense to a phone that is {view:?}"),
        };
    }

    /// What lies beyond siprtmp changes no view.
    fn hear_more(&mut self, input: &Input, indication: &Indication) {
        let fits = match indication {
            Indication::Registered { .. } => !std::mem::replace(&mut self.registered, true) || !self.watching,
            Indication::Unregistered(_) => std::mem::replace(&mut self.registered, false) || !self.watching,
            Indication::MessageSent(message) | Indication::MessageFailed { message, .. } => self.sent.remove(message),
            Indication::ReceivedPagingMessage { .. } => true,
            Indication::ReceivedMessage { .. } => self.view != View::Idle,
            Indication::EarlyMedia => self.view == View::Calling && self.media,
            Indication::Dtmf(_) => matches!(self.view, View::InCall { .. }),
            Indication::Transferred(_) => {
                matches!(self.view, View::InCall { .. }) || matches!(input, Input::Command(Command::Transfer { .. }))
            }
            known => panic!("{known:?} is of siprtmp"),
        };
        assert!(fits, "{indication:?} makes no sense to a phone that is {:?}", self.view);
    }

    /// At any quiet moment.
    fn check(&self, agent: &UserAgent) {
        assert!(!self.media || agent.rtp_in_use().is_some(), "media without a port");
        assert_eq!(self.settled + u32::from(self.view == View::Calling), self.invites, "every invite has one end");
    }
}

/// Which call an action is about.
fn call_of(action: &SipAction) -> Option<CallHandle> {
    match action {
        SipAction::Register { .. }
        | SipAction::Unregister
        | SipAction::AnswerMessage { .. }
        | SipAction::SendMessage { target: MessageTarget::Address(_), .. } => None,
        SipAction::SendMessage { target: MessageTarget::Call(call), .. } | SipAction::Refer { call, .. } => Some(*call),
        SipAction::Invite { call, .. }
        | SipAction::Cancel { call }
        | SipAction::Ring { call }
        | SipAction::Answer { call, .. }
        | SipAction::Refuse { call, .. }
        | SipAction::Reinvite { call, .. }
        | SipAction::AnswerReinvite { call, .. }
        | SipAction::Bye { call } => Some(*call),
    }
}

/// What the stack knows of one call, by the face's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    Calling { cancelled: bool },
    Ringing,
    Answered { offered: bool },
    Up { ours: bool, theirs: bool, late: bool },
    ByeSent,
}

/// A SIP stack that keeps its face's promises, and a network of whims.
#[derive(Default)]
struct Stack {
    legs: BTreeMap<CallHandle, Leg>,
    register: bool,
    unregister: bool,
    /// Calls in which a REFER was sent last; those that are over may still stand here.
    referring: BTreeSet<CallHandle>,
    /// Messages that wait for their answers.
    messages: BTreeSet<MessageHandle>,
    next: u64,
}

impl Stack {
    /// Takes an action; it must fit the call's state.
    fn perform(&mut self, action: &SipAction) {
        let leg = call_of(action).and_then(|call| self.legs.get(&call).copied());
        if let SipAction::SendMessage { message, .. } = action {
            assert!(self.messages.insert(*message), "one handle a message");
        }
        if let SipAction::Refer { call, .. } = action {
            self.referring.insert(*call);
        }
        let next = match (action, leg) {
            (SipAction::Register { .. }, _) => return assert!(!std::mem::replace(&mut self.register, true)),
            (SipAction::Unregister, _) => return assert!(!std::mem::replace(&mut self.unregister, true)),
            (SipAction::SendMessage { target: MessageTarget::Address(_), .. } | SipAction::AnswerMessage { .. }, _) => {
                None
            }
            (SipAction::SendMessage { .. } | SipAction::Refer { .. }, Some(leg @ Leg::Up { .. })) => Some(leg),
            (SipAction::Invite { .. }, None) => Some(Leg::Calling { cancelled: false }),
            (SipAction::Cancel { .. }, Some(Leg::Calling { cancelled: false })) => {
                Some(Leg::Calling { cancelled: true })
            }
            (SipAction::Ring { .. }, Some(Leg::Ringing)) => Some(Leg::Ringing),
            (SipAction::Refuse { .. }, Some(Leg::Ringing)) => None,
            (SipAction::Answer { .. }, Some(Leg::Ringing)) => Some(Leg::Answered { offered: true }),
            (SipAction::Reinvite { .. }, Some(Leg::Up { ours: false, theirs: false, late: false })) => {
                Some(Leg::Up { ours: true, theirs: false, late: false })
            }
            (SipAction::AnswerReinvite { answer, .. }, Some(Leg::Up { ours, theirs: true, late })) => {
                assert!(answer.is_err() || !ours, "no answer while our own offer is open");
                Some(Leg::Up { ours, theirs: false, late })
            }
            (SipAction::AnswerReinvite { answer: Err(_), .. }, Some(leg @ Leg::Answered { .. })) => Some(leg),
            // Only the end of a disconnect's grace may hurry past the ACK; here the stack always sends one in time.
            (SipAction::Bye { .. }, Some(Leg::Up { .. })) => Some(Leg::ByeSent),
            (action, leg) => panic!("{action:?} to a call that is {leg:?}"),
        };
        match (call_of(action), next) {
            (Some(call), Some(leg)) => drop(self.legs.insert(call, leg)),
            (Some(call), None) => drop(self.legs.remove(&call)),
            (None, _) => {}
        }
    }

    /// Something that may happen now. `pick` and `sdp` choose.
    fn whim(&mut self, pick: &Index, which: usize, sdp: Option<String>, status: SipStatus) -> Option<SipEvent> {
        if self.unregister && !self.register && which == 0 {
            self.unregister = false;
            return Some(SipEvent::Unregistered);
        }
        if self.register && which < 2 {
            self.register = false;
            let granted = SipEvent::Registered { expires: Duration::from_secs(30) };
            return Some(if which == 0 { granted } else { SipEvent::RegisterFailed(status) });
        }
        if which >= 12 {
            return self.whim_beyond(pick, which, status);
        }
        if self.legs.is_empty() || which == 2 {
            self.next += 2;
            let call = CallHandle(self.next);
            self.legs.insert(call, Leg::Ringing);
            return Some(SipEvent::Incoming { call, from: "sip:bob@home".to_owned(), sdp });
        }
        let handles: Vec<_> = self.legs.keys().copied().collect();
        let call = handles[pick.index(handles.len())];
        self.happen(call, which, sdp, status)
    }

    /// Transfers, messages and digits.
    fn whim_beyond(&mut self, pick: &Index, which: usize, refusal: SipStatus) -> Option<SipEvent> {
        let up = |call: &&CallHandle| matches!(self.legs.get(*call), Some(Leg::Up { .. }));
        let referring = self.referring.iter().find(up).copied();
        let outcomes = [status(100, "Trying"), status(202, "Accepted"), status(200, "OK"), refusal];
        let status = outcomes[pick.index(outcomes.len())].clone();
        match which {
            12 => referring.map(|call| SipEvent::ReferAnswered { call, status, reports: pick.index(2) == 0 }),
            13 => referring.map(|call| SipEvent::ReferProgress { call, status, last: pick.index(2) == 0 }),
            14 => self.messages.pop_first().map(|message| SipEvent::MessageDone { message, status }),
            15 => {
                self.next += 2;
                Some(text_message(self.next, self.legs.keys().find(up).copied().filter(|_| pick.index(2) == 0)))
            }
            _ => self.legs.keys().find(up).map(|call| SipEvent::InfoDigit { call: *call, digit: '7' }),
        }
    }

    fn happen(&mut self, call: CallHandle, which: usize, sdp: Option<String>, status: SipStatus) -> Option<SipEvent> {
        let quiet = Leg::Up { ours: false, theirs: false, late: false };
        let (event, next) = match (self.legs[&call], which % 4) {
            (Leg::Calling { cancelled: false }, 0) => (SipEvent::Answered { call, sdp }, Some(quiet)),
            (Leg::Calling { cancelled: false }, 1 | 2) => {
                let status = SipStatus::new(183, "Session Progress");
                (SipEvent::Progress { call, status, sdp }, Some(Leg::Calling { cancelled: false }))
            }
            (Leg::Calling { .. }, _) => (SipEvent::Failed { call, status }, None),
            (Leg::Ringing, 0) => (SipEvent::Cancelled { call }, None),
            (Leg::Ringing, _) => return None,
            (Leg::Answered { .. }, 0..3) => (SipEvent::Acknowledged { call, sdp }, Some(quiet)),
            (Leg::Answered { .. }, _) => (SipEvent::AckMissing { call }, None),
            (Leg::Up { ours: true, theirs, late }, 0) => {
                (SipEvent::Reanswered { call, sdp }, Some(Leg::Up { ours: false, theirs, late }))
            }
            (Leg::Up { ours: true, theirs, late }, 1) => {
                (SipEvent::ReinviteFailed { call, status }, Some(Leg::Up { ours: false, theirs, late }))
            }
            (Leg::Up { ours, theirs: false, late: true }, 1) => {
                (SipEvent::Acknowledged { call, sdp }, Some(Leg::Up { ours, theirs: false, late: false }))
            }
            (Leg::Up { ours, theirs: false, late: false }, 2) => {
                let late = sdp.is_none() && !ours;
                (SipEvent::Reinvited { call, sdp }, Some(Leg::Up { ours, theirs: true, late }))
            }
            (Leg::Up { .. }, 3) => (SipEvent::Byed { call }, None),
            (Leg::Up { .. }, _) => return None,
            (Leg::ByeSent, _) => (SipEvent::Ended { call }, None),
        };
        match next {
            Some(leg) => drop(self.legs.insert(call, leg)),
            None => drop(self.legs.remove(&call)),
        }
        Some(event)
    }
}

/// One step of a lawful run.
#[derive(Debug, Clone)]
enum Step {
    Command(Command),
    Network { pick: Index, which: usize, sdp: Option<String>, status: SipStatus },
    Digit,
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_command().prop_map(Step::Command),
        6 => (any::<Index>(), 0usize..17, any_sdp(), any_status())
            .prop_map(|(pick, which, sdp, status)| Step::Network { pick, which, sdp, status }),
        1 => Just(Step::Digit),
        1 => (0u64..30_000).prop_map(Step::Wait),
    ]
}

/// The agent, its judge and its stack.
struct World {
    rig: Rig,
    judge: Judge,
    stack: Stack,
}

impl World {
    fn feed(&mut self, input: Input) {
        self.judge.before(&input);
        let outputs = self.rig.raw(input.clone());
        for output in &outputs {
            if let Output::Sip(action) = output {
                self.stack.perform(action);
            }
        }
        self.judge.after(&input, &outputs);
        self.judge.check(&self.rig.agent);
    }

    fn wait(&mut self, millis: u64) {
        let (end, mut guard) = (self.rig.now + Duration::from_millis(millis), LoopGuard::default());
        while let Some(at) = self.rig.agent.poll_timeout().filter(|at| *at <= end) {
            self.rig.now = self.rig.now.max(at);
            guard.pass(self.rig.now);
            self.feed(Input::Timeout);
        }
        self.rig.now = end;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Command(command) => self.feed(Input::Command(command)),
            Step::Digit => self.feed(Input::DtmfReceived('7')),
            Step::Wait(millis) => self.wait(millis),
            Step::Network { pick, which, sdp, status } => {
                if let Some(event) = self.stack.whim(&pick, which, sdp, status) {
                    self.feed(Input::Sip(event));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn with_a_lawful_stack_every_phone_hears_sense_and_every_end_comes(
        topics in any_topics(),
        steps in prop::collection::vec(any_step(), 0..60),
        replies in prop::collection::vec((0usize..12, any_sdp(), any_status()), 0..12),
    ) {
        let mut world = World { rig: Rig::new(), judge: Judge::new(), stack: Stack::default() };
        world.feed(Input::Command(Command::Subscribe(topics)));
        world.feed(Input::Command(Command::Connect(alice())));
        for step in steps {
            world.step(step);
        }
        world.feed(Input::Command(Command::Disconnect));
        // ACKs that are owed come in time; all else as it may.
        let owed: Vec<_> = world.stack.legs.iter().filter(|(_, leg)| matches!(leg, Leg::Answered { .. })).map(|(c, _)| *c).collect();
        for call in owed {
            let event = world.stack.happen(call, 0, None, status(500, "-")).unwrap();
            world.feed(Input::Sip(event));
        }
        for (which, sdp, status) in replies {
            let handles: Vec<_> = world.stack.legs.keys().copied().collect();
            if let Some(event) = handles.first().and_then(|call| world.stack.happen(*call, which, sdp, status)) {
                world.feed(Input::Sip(event));
            }
            world.wait(100);
        }
        world.wait(4_000);
        prop_assert_eq!(world.judge.finished, 1);
        prop_assert!(!world.judge.media);
        prop_assert_eq!(world.rig.agent.rtp_in_use(), None);
        prop_assert_eq!(world.rig.agent.poll_timeout(), None);
    }

    #[test]
    fn with_a_stack_that_breaks_every_rule_nothing_panics_and_the_phone_still_hears_sense(
        inputs in prop::collection::vec(
            prop_oneof![
                2 => any_command().prop_map(Input::Command),
                6 => any_event().prop_map(Input::Sip),
                1 => Just(Input::DtmfReceived('7')),
                1 => Just(Input::Timeout),
            ],
            0..80,
        ),
    ) {
        let (mut rig, mut judge, mut dead) = (Rig::new(), Judge::new(), BTreeSet::new());
        let connect = Input::Command(Command::Connect(alice()));
        let registered = Input::Sip(SipEvent::Registered { expires: Duration::from_secs(60) });
        let end = Input::Command(Command::Disconnect);
        for input in [connect, registered].into_iter().chain(inputs).chain([end]) {
            match &input {
                Input::Sip(SipEvent::Incoming { call, .. }) => drop(dead.remove(call)),
                Input::Sip(event) if event.ends_call() => drop(event.call().map(|call| dead.insert(call))),
                Input::Timeout => rig.now += Duration::from_secs(7),
                _ => {}
            }
            judge.before(&input);
            let outputs = rig.raw(input.clone());
            for output in &outputs {
                let call = if let Output::Sip(action) = output { call_of(action) } else { None };
                let begins = matches!(output, Output::Sip(SipAction::Invite { .. }));
                if let Some(call) = call.filter(|_| begins) {
                    dead.remove(&call);
                }
                prop_assert!(call.is_none_or(|call| !dead.contains(&call)), "{output:?} for a dead call");
                if let Output::Sip(SipAction::Refuse { call, .. }) = output {
                    dead.insert(*call);
                }
            }
            judge.after(&input, &outputs);
            judge.check(&rig.agent);
        }
        let outputs: Vec<Output> = (0..2).flat_map(|_| {
            rig.now += Duration::from_secs(2);
            rig.raw(Input::Timeout)
        }).collect();
        judge.after(&Input::Timeout, &outputs);
        prop_assert_eq!(judge.finished, 1);
        prop_assert!(!judge.media);
    }
}
