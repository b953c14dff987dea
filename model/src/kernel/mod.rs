//! The simulated kernel: state, and the primitives that kernel paths are written with.
//!
//! One file with its page cache, up to three address spaces that map it, a backing store. The state
//! is what the paths look at and no more; all of it is `Cell`s, so that the tasks of a run can
//! share one `&Kernel`. A kernel is generic over the filesystems that it can run; it is made once
//! and reset per run.

pub mod cache;
pub mod dirty;
pub mod event;
pub mod io;
pub mod lock;
pub mod page;
pub mod pte;
pub mod rmap;
mod sound;

use std::cell::Cell;

use crate::callers::Caller;
use crate::case::{CELLS_MAX, Case, Faults, Geometry, MMS_MAX, PAGES_MAX};
use crate::exec::{IO_MAX, Step, TASKS, TaskId, Tasks};
use crate::facts::Facts;
use crate::implementation::{Adapter, Filesystem, Pair};
use crate::machine::Target;
use crate::plant::Plant;
use crate::point::Point;
use crate::remedy::{Remedies, Remedy};

pub use cache::{Pagevec, Status};
pub use event::{Class, Event, Events, Loose, Written};
pub use io::{Attributes, DEVICE_BLOCKS, Device, FILE_BLOCKS, NO_BLOCK, Request, Server};
pub use lock::Mm;
pub use page::{FRAMES, Frame, Stamp};
pub use pte::Pte;

use page::Page;
use pte::AddressSpace;

/// Numbers of the objects that tasks wait for, or announce. 0 is none.
pub mod object {
    use super::FRAMES;
    use crate::case::{MMS_MAX, PAGES_MAX};
    use crate::exec::IO_MAX;

    /// The page locks, by frame.
    pub const PAGE_LOCK: u8 = 1;
    pub(crate) const WRITEBACK: u8 = PAGE_LOCK + FRAMES as u8;
    pub(crate) const RECORD: u8 = WRITEBACK + FRAMES as u8;
    pub(crate) const MMAP: u8 = RECORD + FRAMES as u8;
    pub(crate) const PTE: u8 = MMAP + MMS_MAX as u8;
    pub(crate) const INODE: u8 = PTE + MMS_MAX as u8;
    pub(crate) const I_MMAP: u8 = INODE + 1;
    pub(crate) const FLUSH: u8 = I_MMAP + 1;
    pub(crate) const COMMIT: u8 = FLUSH + 1;
    pub(crate) const IO: u8 = COMMIT + 1;
    /// The slots of the page tree, by index.
    pub(crate) const SLOT: u8 = IO + IO_MAX as u8;
    /// i_size.
    pub(crate) const SIZE: u8 = SLOT + PAGES_MAX as u8;
    /// The tree and its tags as a whole.
    pub(crate) const TREE: u8 = SIZE + 1;
    /// How many there are.
    pub const COUNT: usize = TREE as usize + 1;

    /// What an object is, in words.
    pub fn name(object: u8) -> String {
        let nth = |base: u8| object - base;
        match object {
            0 => "nothing".to_owned(),
            o if o < WRITEBACK => format!("lock of frame {}", nth(PAGE_LOCK)),
            o if o < RECORD => format!("writeback of frame {}", nth(WRITEBACK)),
            o if o < MMAP => format!("record of frame {}", nth(RECORD)),
            o if o < PTE => format!("mmap_lock of mm {}", nth(MMAP)),
            o if o < INODE => format!("pte lock of mm {}", nth(PTE)),
            INODE => "inode lock".to_owned(),
            I_MMAP => "i_mmap lock".to_owned(),
            FLUSH => "flush lock".to_owned(),
            COMMIT => "commit lock".to_owned(),
            o if o < SLOT => format!("request of io{}", nth(IO)),
            o if o < SIZE => format!("page {}", nth(SLOT)),
            SIZE => "i_size".to_owned(),
            _ => "the page tree".to_owned(),
        }
    }
}

const _: () = assert!(object::COUNT <= u8::MAX as usize, "objects have numbers of 8 bits");

pub(crate) const fn page_lock(page: Frame) -> u8 {
    object::PAGE_LOCK + page.0
}

pub(crate) const fn writeback(page: Frame) -> u8 {
    object::WRITEBACK + page.0
}

pub(crate) const fn record_lock(page: Frame) -> u8 {
    object::RECORD + page.0
}

const NO_FRAME: u8 = u8::MAX;
const _: () = assert!(PAGES_MAX <= u8::BITS as usize, "tags are masks of 8 bits");

/// What the client of a server keeps per inode and per open file, beside the page cache. The actors
/// share one open file.
#[derive(Default)]
pub struct Client {
    error: Cell<bool>,
    replied: Cell<bool>,
    asked: Cell<Option<u8>>,
    sized: Cell<Option<u8>>,
}

impl Client {
    fn reset(&self) {
        self.error.set(false);
        self.replied.set(false);
        self.asked.set(None);
        self.sized.set(Some(0));
    }

    /// nfs_context_set_write_error: the next fsync of the open file reports it, once.
    pub fn set_write_error(&self) {
        self.error.set(true);
    }

    /// Tests and clears the open file's error.
    pub fn take_write_error(&self) -> Status {
        if self.error.take() { Status::Io } else { Status::Ok }
    }

    /// The client looks at the attributes of a WRITE's reply.
    pub fn reply(&self) {
        self.replied.set(true);
    }

    /// It has done so since it last sent a SETATTR.
    pub fn has_replied(&self) -> bool {
        self.replied.get()
    }

    /// The client sends a SETATTR with this size.
    pub fn ask(&self, size: u8) {
        self.asked.set(Some(size));
        self.replied.set(false);
    }

    /// The size that a SETATTR asked for, while the change of the size is under way.
    pub fn asked(&self) -> Option<u8> {
        self.asked.get()
    }

    /// How many SETATTRs the server had answered when the client's last change of the size was
    /// over; `None` while one is under way.
    pub fn sized(&self) -> Option<u8> {
        self.sized.get()
    }

    /// A change of the size begins (`None`), or is over.
    pub fn set_sized(&self, changes: Option<u8>) {
        self.asked.set(None);
        self.sized.set(changes);
    }
}

/// What a task holds, and what it is doing.
#[derive(Default)]
pub struct TaskState {
    pub(crate) held: Cell<u8>,
    pub(crate) page_locks: Cell<u8>,
    pub(crate) references: Cell<u8>,
    pub(crate) written: Cell<Written>,
    /// When the operation began.
    pub(crate) began: Cell<u32>,
    /// The operation that runs, for actors.
    pub(crate) operation: Cell<crate::case::Operation>,
    pub(crate) outcome: Returned,
}

impl TaskState {
    fn reset(&self) {
        self.held.set(0);
        self.page_locks.set(0);
        self.references.set(0);
        self.operation.set(crate::case::Operation::Empty);
        self.outcome.begin();
    }

    /// When the operation began, on [`Kernel::clock`].
    pub fn began(&self) -> u32 {
        self.began.get()
    }

    /// Page locks that the task holds.
    pub fn page_locks(&self) -> u8 {
        self.page_locks.get()
    }

    /// References that the task holds on its way.
    pub fn references(&self) -> u8 {
        self.references.get()
    }

    /// Lock classes that the task holds, as a mask of [`Class`] numbers.
    pub fn held(&self) -> u8 {
        self.held.get()
    }

    /// The result of the operation that the task runs, so far.
    pub fn outcome(&self) -> &Returned {
        &self.outcome
    }

    /// The operation that the task runs.
    pub fn operation(&self) -> crate::case::Operation {
        self.operation.get()
    }
}

/// The result of an operation.
pub struct Returned {
    status: Cell<Status>,
    done: Cell<u8>,
    values: [Cell<Stamp>; CELLS_MAX],
}

impl Default for Returned {
    fn default() -> Self {
        Returned {
            status: Cell::default(),
            done: Cell::new(0),
            values: [const { Cell::new(Stamp::ZERO) }; CELLS_MAX],
        }
    }
}

impl Returned {
    pub(crate) fn begin(&self) {
        self.status.set(Status::Ok);
        self.done.set(0);
    }

    /// How it ended.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// Cells that were stored, loaded, read or written before it ended.
    pub fn done(&self) -> u8 {
        self.done.get()
    }

    /// The n-th cell that a load or read returned.
    pub fn value(&self, n: u8) -> Stamp {
        self.values[usize::from(n)].get()
    }

    pub(crate) fn fail(&self, status: Status) {
        self.status.set(status);
    }

    pub(crate) fn push(&self, stamp: Stamp) {
        self.values[usize::from(self.done.get())].set(stamp);
        self.done.set(self.done.get() + 1);
    }
}

/// The simulated kernel.
pub struct Kernel<F: Filesystem> {
    /// The tasks of the run and the objects they wait for.
    pub tasks: Tasks<{ object::COUNT }>,
    /// The block device.
    pub device: Device,
    /// The server.
    pub server: Server,
    pub(crate) pair: Cell<Option<Pair<F>>>,
    plants: Cell<[Option<Plant>; 2]>,
    remedies: Cell<Remedies>,
    plant_reached: Cell<bool>,
    geometry: Cell<Geometry>,
    faults: Cell<Faults>,
    frames: [Page<F::Private>; FRAMES],
    free: Cell<u32>,
    tree: [Cell<u8>; PAGES_MAX],
    dirty_tags: Cell<u8>,
    writeback_tags: Cell<u8>,
    size: Cell<u8>,
    disk_size: Cell<u8>,
    client: Client,
    clock: Cell<u32>,
    inode_dirty: Cell<bool>,
    dirty_count: Cell<i8>,
    errors: Cell<u8>,
    mms: [AddressSpace; MMS_MAX],
    requests: [Cell<Option<Request>>; IO_MAX],
    writes: Cell<u16>,
    states: [TaskState; TASKS],
    events: Events,
    touched: Cell<u32>,
    dead: Cell<bool>,
    /// A frame was freed or used against the rules (see `sound.rs`).
    misused: Cell<bool>,
}

impl<F: Filesystem> Default for Kernel<F> {
    fn default() -> Self {
        Kernel {
            tasks: Tasks::default(),
            device: Device::default(),
            server: Server::default(),
            pair: Cell::new(None),
            plants: Cell::new([None; 2]),
            remedies: Cell::new(Remedies::NONE),
            plant_reached: Cell::new(false),
            geometry: Cell::new(Geometry::default()),
            faults: Cell::new(Faults::default()),
            frames: std::array::from_fn(|_| Page::default()),
            free: Cell::new(u32::MAX),
            tree: [const { Cell::new(NO_FRAME) }; PAGES_MAX],
            dirty_tags: Cell::new(0),
            writeback_tags: Cell::new(0),
            size: Cell::new(0),
            disk_size: Cell::new(0),
            client: Client::default(),
            clock: Cell::new(0),
            inode_dirty: Cell::new(false),
            dirty_count: Cell::new(0),
            errors: Cell::new(0),
            mms: Default::default(),
            requests: [const { Cell::new(None) }; IO_MAX],
            writes: Cell::new(0),
            states: std::array::from_fn(|_| TaskState::default()),
            events: Events::default(),
            touched: Cell::new(0),
            dead: Cell::new(false),
            misused: Cell::new(false),
        }
    }
}

impl<F: Filesystem> Kernel<F> {
    /// Puts the machine into the state in which the case begins: a file on the store, nothing
    /// cached, the file mapped in every address space.
    pub(crate) fn reset(&self, case: &Case, target: Target<F>) {
        let Target { pair, plant, second_plant, remedies } = target;
        self.tasks.reset();
        self.pair.set(Some(pair));
        self.plants.set([plant, second_plant]);
        self.remedies.set(remedies);
        self.geometry.set(case.geometry);
        self.faults.set(case.faults);
        self.free.set(u32::MAX);
        for slot in &self.tree {
            slot.set(NO_FRAME);
        }
        self.dirty_tags.set(0);
        self.writeback_tags.set(0);
        self.size.set(case.geometry.size);
        self.client.reset();
        self.clock.set(0);
        self.inode_dirty.set(false);
        self.dirty_count.set(0);
        self.errors.set(0);
        for (mm, space) in self.mms.iter().enumerate() {
            space.mapped.set(mm < usize::from(case.geometry.mms));
            for pte in &space.ptes {
                pte.set(Pte::NONE);
            }
        }
        self.reset_store(case);
        for state in &self.states {
            state.reset();
        }
        self.dead.set(false);
        self.misused.set(false);
        self.begin_step();
        pair.implementation.mount(self);
        self.begin_step();
    }

    pub(crate) fn begin_step(&self) {
        self.events.clear();
        self.touched.set(0);
        self.clock.set(self.clock.get() + 1);
    }

    /// The time: counts steps.
    #[inline]
    pub fn clock(&self) -> u32 {
        self.clock.get()
    }

    /// What the client of a server knows.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The shape of the file.
    #[inline]
    pub fn geometry(&self) -> Geometry {
        self.geometry.get()
    }

    /// The implementation that runs.
    #[inline]
    pub fn fs(&self) -> F {
        self.pair().implementation
    }

    /// Implementation, caller and adapters of this run.
    #[inline]
    pub fn pair(&self) -> Pair<F> {
        self.pair.get().expect("a run has begun")
    }

    /// What this run runs on.
    pub fn target(&self) -> Target<F> {
        let (pair, [plant, second_plant]) = (self.pair(), self.plants.get());
        Target { pair, plant, second_plant, remedies: self.remedies.get() }
    }

    /// The caller that runs.
    pub fn caller(&self) -> Caller {
        self.pair().caller
    }

    pub(crate) fn adapters(&self) -> Adapter {
        self.pair().adapter
    }

    /// This bug is planted, wherever it acts.
    #[inline]
    pub fn is_planted(&self, plant: Plant) -> bool {
        self.plants.get().contains(&Some(plant))
    }

    /// This bug is planted, and the code that asks is where it acts: the run has reached it.
    #[inline]
    pub fn reaches_plant(&self, plant: Plant) -> bool {
        let planted = self.is_planted(plant);
        if planted {
            self.plant_reached.set(true);
        }
        planted
    }

    /// This remedy is on.
    #[inline]
    pub fn remedied(&self, remedy: Remedy) -> bool {
        self.remedies.get().has(remedy)
    }

    /// The facts of the era that the implementation comes from: every actor but the fault path.
    #[inline]
    pub fn facts(&self) -> Facts {
        self.fs().declaration().era.facts()
    }

    /// Some run executed the planted code.
    pub fn plant_reached(&self) -> bool {
        self.plant_reached.get()
    }

    /// The state of the running task.
    #[inline]
    pub fn task(&self) -> &TaskState {
        &self.states[self.tasks.current().index()]
    }

    /// The state of any task.
    pub fn state(&self, task: TaskId) -> &TaskState {
        &self.states[task.index()]
    }

    /// The result of the operation that `task` runs or has just run.
    pub fn outcome(&self, task: TaskId) -> &Returned {
        &self.states[task.index()].outcome
    }

    /// A scheduling point whose next step touches nothing in particular.
    #[inline]
    pub fn at(&self, point: Point) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point as u8, 0)
    }

    /// A scheduling point whose next step touches this page.
    #[inline]
    pub fn at_page(&self, point: Point, page: Frame) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point as u8, page_lock(page))
    }

    /// A scheduling point whose next step looks up, or changes, this slot of the page tree.
    pub fn at_slot(&self, point: Point, index: u8) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point as u8, object::SLOT + index)
    }

    /// A scheduling point whose next step reads or writes i_size.
    pub fn at_size(&self, point: Point) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point as u8, object::SIZE)
    }

    /// A scheduling point whose next step looks the whole tree over.
    pub fn at_tree(&self, point: Point) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point as u8, object::TREE)
    }

    /// Notes a fact of this step.
    #[inline]
    pub fn event(&self, event: Event) {
        self.events.push(event);
    }

    /// The facts of the step that has just run.
    #[inline]
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.iter()
    }

    /// The frames that the step touched.
    #[inline]
    pub fn touched(&self) -> u32 {
        self.touched.get()
    }

    /// BUG_ON: reports it and ends the run after this step.
    pub fn bug_on(&self, condition: bool, what: &'static str) {
        if condition && !self.dead.replace(true) {
            self.event(Event::Bug { what });
        }
    }

    /// page->mapping is dereferenced; a NULL one ends the run after this step.
    pub fn dereference_mapping(&self, present: bool, what: &'static str) {
        if !present && !self.dead.replace(true) {
            self.event(Event::NullMapping { what });
        }
    }

    /// The kernel has crashed.
    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }
}
