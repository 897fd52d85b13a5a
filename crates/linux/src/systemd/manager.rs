//! What is asked of systemd: making a scope, changing its properties, stopping it.

use super::bus::Bus;
use super::value::Writer;
use super::{Argument, Error, Malformed, Message, Property, Unit, Value};

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const READ_ONLY: &str = "org.freedesktop.DBus.Error.PropertyReadOnly";

/// systemd's manager, connected.
#[derive(Debug)]
pub struct Manager {
    bus: Bus,
}

impl Manager {
    /// Connects.
    ///
    /// # Errors
    /// When systemd does not run this machine or does not answer.
    pub fn connect() -> Result<Self, Error> {
        super::require()?;
        Ok(Self { bus: Bus::open()? })
    }

    /// Makes the scope of `unit` with the process `pid` in it, and waits until it is there.
    /// Properties of the same name that come later count.
    ///
    /// # Errors
    /// When systemd refuses, also when a unit of that name exists.
    pub fn start_scope(
        &mut self,
        unit: &Unit,
        description: &str,
        pid: i32,
        more: Vec<Property>,
    ) -> Result<(), Error> {
        let mut properties = scope_properties(unit, description, pid);
        properties.retain(|ours| more.iter().all(|theirs| theirs.name != ours.name));
        properties.extend(more);
        let made = self.with_known(properties.clone(), |bus, properties| {
            start_transient(bus, unit.name(), properties)
        });
        let job = match made {
            Err(error) if error.name() == Some(UNIT_EXISTS) => {
                // What is left of a unit that failed goes away so, and only that.
                self.reset_failed(unit)?;
                self.with_known(properties, |bus, properties| {
                    start_transient(bus, unit.name(), properties)
                })?
            }
            made => made?,
        };
        self.finish(unit, &job)
    }

    /// Changes properties until the next start of the machine.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn set_properties(&mut self, unit: &Unit, properties: Vec<Property>) -> Result<(), Error> {
        if properties.is_empty() {
            return Ok(());
        }
        self.with_known(properties, |bus, properties| {
            let mut body = Writer::default();
            body.text(unit.name());
            body.u32(1);
            body.properties(properties);
            bus.call_manager("SetUnitProperties", "sba(sv)", &body)
        })?;
        Ok(())
    }

    /// Stops a unit and waits until it is gone. One that is gone already is fine.
    ///
    /// # Errors
    /// When systemd refuses, or does not manage to.
    pub fn stop(&mut self, unit: &Unit) -> Result<(), Error> {
        let mut body = Writer::default();
        body.text(unit.name());
        body.text("replace");
        let stopped = match self.bus.call_manager("StopUnit", "ss", &body) {
            Err(error) if error.name() == Some(NO_SUCH_UNIT) => return Ok(()),
            other => self.finish(unit, &other?),
        };
        stopped.and(self.reset_failed(unit))
    }

    /// Lets systemd forget that a unit failed.
    fn reset_failed(&mut self, unit: &Unit) -> Result<(), Error> {
        let mut body = Writer::default();
        body.text(unit.name());
        match self.bus.call_manager("ResetFailedUnit", "s", &body) {
            Err(error) if error.name() == Some(NO_SUCH_UNIT) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Waits for the job that `answer` names.
    fn finish(&mut self, unit: &Unit, answer: &Message) -> Result<(), Error> {
        let arguments = answer.arguments()?;
        let Some(Argument::Text(job)) = arguments.first() else {
            return Err(Malformed::NO_JOB.into());
        };
        match self.bus.wait_for_job(job)?.as_str() {
            "done" => Ok(()),
            result => Err(Error::Job { unit: unit.name().to_owned(), result: result.to_owned() }),
        }
    }

    /// Makes a call with `properties`, without those that this systemd does not know and that are
    /// not required.
    fn with_known(
        &mut self,
        mut properties: Vec<Property>,
        call: impl Fn(&mut Bus, &[Property]) -> Result<Message, Error>,
    ) -> Result<Message, Error> {
        loop {
            let error = match call(&mut self.bus, &properties) {
                Err(error) if error.name() == Some(READ_ONLY) => error,
                other => return other,
            };
            let unknown = |property: &Property| !property.is_required && names(&error, property);
            let Some(at) = properties.iter().position(unknown) else { return Err(error) };
            let name = properties.remove(at).name;
            log::warn!("this systemd does not know {name}: a reload of it may reset that limit");
        }
    }
}

/// Whether systemd's complaint is about this property ("Cannot set property X, or unknown
/// property.").
fn names(error: &Error, property: &Property) -> bool {
    let word = |c: char| !c.is_ascii_alphanumeric();
    matches!(error, Error::Refused { message, .. }
        if message.split(word).any(|word| word == property.name))
}

/// What makes it the container's own scope: its cgroup is delegated, and a failed scope is forgotten.
fn scope_properties(unit: &Unit, description: &str, pid: i32) -> Vec<Property> {
    let yes = || Value::Bool(true);
    vec![
        Property::required("Description", Value::Text(description.to_owned())),
        Property::required("Slice", Value::Text(unit.slice().to_owned())),
        Property::required("PIDs", Value::Numbers(vec![pid.cast_unsigned()])),
        Property::required("Delegate", yes()),
        Property::required("DefaultDependencies", Value::Bool(false)),
        Property::optional("CollectMode", Value::Text("inactive-or-failed".to_owned())),
        Property::optional("MemoryAccounting", yes()),
        Property::optional("CPUAccounting", yes()),
        Property::optional("IOAccounting", yes()),
        Property::optional("TasksAccounting", yes()),
    ]
}

fn start_transient(bus: &mut Bus, unit: &str, properties: &[Property]) -> Result<Message, Error> {
    let mut body = Writer::default();
    body.text(unit);
    // Should a job for it be queued, ours takes its place.
    body.text("replace");
    body.properties(properties);
    // No auxiliary units.
    body.array(8, |_| {});
    bus.call_manager("StartTransientUnit", "ssa(sv)a(sa(sv))", &body)
}

#[cfg(test)]
mod tests;
