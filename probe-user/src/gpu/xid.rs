//! XID errors, through an event set.
//!
//! The set is polled with a zero time-out at the end of each round rather than waited on by a thread
//! of its own: the driver queues events, so nothing is missed between rounds; a second thread would
//! be a second one that can hang and has to be watched; and an XID needs no faster notice than the
//! readings beside it.

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::{nvml_sym, nvml_try};
use nvml_wrapper::{Device, EventSet, Nvml};

use super::fault::Fault;
use super::meter::Meter;

/// Events taken in one round; the rest stay queued for the next.
const MAX_EVENTS: usize = 64;

/// The code NVML gives for an XID that it cannot tell (`nvml.h`, `nvmlEventData_t`).
const UNKNOWN_XID: u64 = 999;

/// XID errors of the GPUs that were registered.
pub(super) struct XidEvents<'n> {
    set: EventSet<'n>,
    /// Device handles (as addresses) and their UUIDs: a lost GPU cannot be asked for its own.
    devices: Vec<(usize, String)>,
}

impl<'n> XidEvents<'n> {
    /// An empty set; `None` where the driver has no events.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn open(nvml: &'n Nvml, meter: &Meter) -> Result<Option<Self>, Fault> {
        // Dropping a set of a library without this symbol panics.
        if nvml.lib().nvmlEventSetFree.is_err() {
            return Ok(None);
        }
        match meter.call("nvmlEventSetCreate", None, || nvml.create_event_set()) {
            Ok(set) => Ok(Some(Self {
                set,
                devices: Vec::new(),
            })),
            Err(Fault::Abandoned) => Err(Fault::Abandoned),
            Err(_) => Ok(None),
        }
    }

    /// Frees the set, as a watched call.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn close(self, meter: &Meter) -> Result<(), Fault> {
        meter.call("nvmlEventSetFree", None, || {
            drop(self);
            Ok(())
        })
    }

    /// Registers a GPU, once.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn register(
        &mut self,
        meter: &Meter,
        index: u32,
        device: &Device<'_>,
        uuid: &str,
    ) -> Result<(), Fault> {
        // SAFETY: the handle is only compared and passed back to NVML while the device exists.
        let handle = unsafe { device.handle() };
        let known = (handle.addr(), uuid.to_owned());
        if self.devices.contains(&known) {
            return Ok(());
        }
        // Also where it is refused: it is not asked again.
        self.devices.retain(|(address, _)| *address != known.0);
        self.devices.push(known);
        let supported = meter.call("nvmlDeviceGetSupportedEventTypes", Some(index), || {
            device.supported_event_types()
        });
        match supported {
            Err(Fault::Abandoned) => return Err(Fault::Abandoned),
            Ok(types) if types.contains(EventTypes::CRITICAL_XID_ERROR) => {}
            _ => return Ok(()),
        }
        // The wrapper's own method takes the set away when a device refuses.
        let registered = meter.call("nvmlDeviceRegisterEvents", Some(index), || {
            let symbol = nvml_sym(self.set.nvml.lib().nvmlDeviceRegisterEvents.as_ref())?;
            let types = EventTypes::CRITICAL_XID_ERROR.bits();
            // SAFETY: device and set are alive, and the symbol has the type that nvml-wrapper-sys
            // declares from nvml.h.
            nvml_try(unsafe { symbol(handle, types, self.set.handle()) })
        });
        match registered {
            Err(Fault::Abandoned) => Err(Fault::Abandoned),
            _ => Ok(()),
        }
    }

    /// Takes the waiting events: UUID of the GPU and XID code. `false` when the set is broken and
    /// must be made anew.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn poll(
        &self,
        meter: &Meter,
        mut emit: impl FnMut(String, u64),
    ) -> Result<bool, Fault> {
        for _ in 0..MAX_EVENTS {
            let event = match meter.call("nvmlEventSetWait_v2", None, || self.set.wait(0)) {
                Ok(event) => event,
                Err(Fault::Nothing) => return Ok(true),
                Err(Fault::Abandoned) => return Err(Fault::Abandoned),
                Err(_) => return Ok(false),
            };
            // SAFETY: the handle is only compared.
            let address = unsafe { event.device.handle() }.addr();
            let device = self.devices.iter().find(|(known, _)| *known == address);
            let code = match event.event_data {
                Some(XidError::Value(code)) => code,
                Some(XidError::Unknown) => UNKNOWN_XID,
                None => continue,
            };
            if let Some((_, uuid)) = device {
                emit(uuid.clone(), code);
            }
        }
        Ok(true)
    }
}
