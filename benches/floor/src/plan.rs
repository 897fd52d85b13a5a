//! A list of system calls as bytes: written by the benchmark, replayed by `lxcri-floor`.
//!
//! The bytes are one block of memory, called the arena: the number of steps, the steps, then the data
//! that arguments point to. An argument is a number, the address of something in the arena, or the result
//! of an earlier step; so replaying needs no parser.

/// The largest plan in bytes.
pub const ARENA: usize = 256 << 10;

/// The most steps of a plan.
pub const STEPS: usize = 512;

/// Bytes of one step: what to call, how to read the arguments, where a child goes on, six arguments.
pub(crate) const STEP: usize = 9 * 8;

/// How an argument is read, two bits each.
pub(crate) const NUMBER: u64 = 0;
pub(crate) const ADDRESS: u64 = 1;
pub(crate) const RESULT: u64 = 2;

/// Steps that are no system call.
pub(crate) const STORE_32: u64 = 1 << 32;
pub(crate) const STORE_64: u64 = STORE_32 + 1;
pub(crate) const PRINT: u64 = STORE_32 + 2;
pub(crate) const EXPECT: u64 = STORE_32 + 3;
pub(crate) const LOAD_32: u64 = STORE_32 + 4;

/// Width of a printed number.
pub const PRINTED: usize = 20;

/// A place in the arena's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// The place `bytes` further on.
    #[must_use]
    pub fn offset(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(u64);

/// An argument of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Number(u64),
    /// The address of some data.
    Address(Place),
    /// What an earlier step returned.
    Result(Step),
}

impl From<u64> for Argument {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Place> for Argument {
    fn from(place: Place) -> Self {
        Self::Address(place)
    }
}

impl From<Step> for Argument {
    fn from(step: Step) -> Self {
        Self::Result(step)
    }
}

#[derive(Debug)]
struct Call {
    number: u64,
    arguments: Vec<Argument>,
    child: u64,
}

/// A plan in the making.
#[derive(Debug, Default)]
pub struct Plan {
    calls: Vec<Call>,
    data: Vec<u8>,
}

impl Plan {
    /// One system call. It fails the whole plan when it fails.
    pub fn call(&mut self, number: i64, arguments: &[Argument]) -> Step {
        self.push(u64::try_from(number).unwrap_or(u64::MAX), arguments)
    }

    /// A system call that returns twice; the child goes on at the step that [`Plan::child_begins`] marks.
    pub fn fork(&mut self, number: i64, arguments: &[Argument]) -> Step {
        self.call(number, arguments)
    }

    /// The child that `fork` made goes on here.
    pub fn child_begins(&mut self, fork: Step) {
        let here = self.calls.len() as u64;
        if let Some(call) = usize::try_from(fork.0).ok().and_then(|index| self.calls.get_mut(index))
        {
            call.child = here;
        }
    }

    /// Stores the lower half of a value.
    pub fn store_32(&mut self, place: Place, value: impl Into<Argument>) {
        self.push(STORE_32, &[place.into(), value.into()]);
    }

    /// Stores a value.
    pub fn store_64(&mut self, place: Place, value: impl Into<Argument>) {
        self.push(STORE_64, &[place.into(), value.into()]);
    }

    /// Takes a 32-bit number from the arena, for instance a descriptor that a call stored there.
    pub fn load_32(&mut self, place: Place) -> Step {
        self.push(LOAD_32, &[place.into()])
    }

    /// Writes a value as decimal digits, [`PRINTED`] wide, with spaces before it.
    pub fn print(&mut self, place: Place, value: impl Into<Argument>) {
        self.push(PRINT, &[place.into(), value.into()]);
    }

    /// Fails the plan unless the 32-bit number at `place` is `value`.
    pub fn expect(&mut self, place: Place, value: u32) {
        self.push(EXPECT, &[place.into(), u64::from(value).into()]);
    }

    fn push(&mut self, number: u64, arguments: &[Argument]) -> Step {
        let step = Step(self.calls.len() as u64);
        self.calls.push(Call { number, arguments: arguments.to_vec(), child: 0 });
        step
    }

    /// Data in the arena, aligned for every type.
    pub fn data(&mut self, bytes: &[u8]) -> Place {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let place = Place(self.data.len() as u64);
        self.data.extend(bytes);
        place
    }

    /// A C string in the arena.
    pub fn text(&mut self, text: &str) -> Place {
        let place = self.data(text.as_bytes());
        self.data.push(0);
        place
    }

    /// Numbers of 64 bits in the arena: structures of the kernel, tables of addresses to fill in.
    pub fn words(&mut self, words: &[u64]) -> Place {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.data(&bytes)
    }

    /// The plan as `lxcri-floor` takes it; an error names what is too large.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let before_data = 8 + (self.calls.len() * STEP) as u64;
        let mut bytes = Vec::from((self.calls.len() as u64).to_ne_bytes());
        for call in &self.calls {
            let (mut kinds, mut values) = (0, [0_u64; 6]);
            for (index, (argument, value)) in call.arguments.iter().zip(&mut values).enumerate() {
                let (kind, number) = match argument {
                    Argument::Number(number) => (NUMBER, *number),
                    Argument::Address(place) => (ADDRESS, before_data + place.0),
                    Argument::Result(step) => (RESULT, step.0),
                };
                kinds |= kind << (2 * index);
                *value = number;
            }
            for word in [call.number, kinds, call.child].into_iter().chain(values) {
                bytes.extend(word.to_ne_bytes());
            }
        }
        bytes.extend(&self.data);
        if self.calls.len() > STEPS || bytes.len() > ARENA {
            return Err(format!("a plan of {} steps and {} bytes", self.calls.len(), bytes.len()));
        }
        Ok(bytes)
    }
}
