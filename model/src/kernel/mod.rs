//! The simulated kernel: state, and the primitives that kernel paths are written with.
//!
//! Inodes with their page cache (one or two), up to three address spaces that map
//! them, a backing store. The state is what the paths look at and no more; all of it is `Cell`s, so
//! that the tasks of a run can share one `&Kernel`. A kernel is generic over the filesystems that
//! it can run; it is made once and reset per run.

pub mod cache;
mod call;
mod device;
pub mod dirty;
pub mod event;
mod extent;
mod inode;
pub mod io;
pub mod lock;
pub mod object;
pub mod page;
pub mod pte;
pub mod rmap;
mod server;
mod sound;
mod task;
mod tlb;

use std::cell::Cell;

use crate::case::{Case, Effect, Faults, Geometry, MMS_MAX, Site};
use crate::era::{Era, Facts};
use crate::exec::{IO_MAX, Step, TASKS, TaskId, Tasks};
use crate::implementation::{Adapter, Filesystem, Pair};
use crate::machine::Target;
use crate::plant::{Plant, Plants};
use crate::point::Point;
use crate::remedy::{Remedies, Remedy};

pub use cache::{Pagevec, Status};
pub use device::{DEVICE_BLOCKS, Device, NO_BLOCK};
pub use event::{Call, Class, Event, Events, Lack, Loose, Written};
pub use extent::{Extent, Extents, FILE_BLOCKS};
pub use inode::{INODES, Inode, InodeId, PAGES_OF_TWO_MAX};
pub use io::Request;
pub use lock::Mm;
pub use page::{FRAMES, Frame, Stamp};
pub use pte::Pte;
pub use server::{Attributes, Server};
pub(crate) use task::Pipe;
pub use task::{Returned, TaskState};

pub(crate) use object::{page_lock, record_lock, writeback};

use page::Page;
use pte::AddressSpace;

/// The simulated kernel.
pub struct Kernel<F: Filesystem> {
    /// The tasks of the run and the objects they wait for.
    pub tasks: Tasks<{ object::COUNT }>,
    /// The block device.
    pub device: Device,
    servers: [Server; INODES],
    pub(crate) pair: Cell<Option<Pair<F>>>,
    plants: Cell<Plants>,
    remedies: Cell<Remedies>,
    plant_reached: Cell<bool>,
    geometry: Cell<Geometry>,
    faults: Cell<Faults>,
    /// How often the run has come to each site of a fault.
    times: [Cell<u16>; Site::COUNT],
    frames: [Page<F::Private>; FRAMES],
    free: Cell<u32>,
    inodes: [Inode<F::Inode>; INODES],
    /// What the running task works on: kept here, because everybody asks all the time.
    file: Cell<InodeId>,
    clock: Cell<u32>,
    mms: [AddressSpace; MMS_MAX],
    requests: [Cell<Option<Request>>; IO_MAX],
    states: [TaskState; TASKS],
    events: Events,
    frozen: Cell<bool>,
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
            servers: Default::default(),
            pair: Cell::new(None),
            plants: Cell::new(Plants::NONE),
            remedies: Cell::new(Remedies::NONE),
            plant_reached: Cell::new(false),
            geometry: Cell::new(Geometry::default()),
            faults: Cell::new(Faults::default()),
            times: [const { Cell::new(0) }; Site::COUNT],
            frames: std::array::from_fn(|_| Page::default()),
            free: Cell::new(u32::MAX),
            inodes: Inode::all(),
            file: Cell::new(InodeId::FIRST),
            clock: Cell::new(0),
            mms: Default::default(),
            requests: [const { Cell::new(None) }; IO_MAX],
            states: std::array::from_fn(|_| TaskState::default()),
            events: Events::default(),
            frozen: Cell::new(false),
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
        let Target { pair, plants, remedies } = target;
        self.tasks.reset();
        self.file.set(InodeId::FIRST);
        self.pair.set(Some(pair));
        self.plants.set(plants);
        self.remedies.set(remedies);
        self.geometry.set(case.geometry);
        self.faults.set(case.faults);
        for times in &self.times {
            times.set(0);
        }
        self.free.set(u32::MAX);
        for file in self.files() {
            self.inode(file).reset(case.geometry.size);
        }
        self.clock.set(0);
        for (mm, space) in self.mms.iter().enumerate() {
            space.mapped.set(mm < usize::from(case.geometry.mms));
            let users = case.actors.iter().filter(|actor| usize::from(actor.mm) == mm).count();
            space.reset(InodeId::of(case.geometry, mm as u8), users as u8);
        }
        self.reset_store(case);
        for state in &self.states {
            state.reset();
        }
        self.dead.set(false);
        self.frozen.set(false);
        self.misused.set(false);
        self.begin_step();
        for file in self.files() {
            self.in_file(file, || pair.implementation.mount(self));
        }
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

    /// The server's side of the file that the running task works on.
    pub fn server(&self) -> &Server {
        &self.servers[usize::from(self.file_id().number())]
    }

    /// What this run runs on.
    pub fn target(&self) -> Target<F> {
        Target { pair: self.pair(), plants: self.plants.get(), remedies: self.remedies.get() }
    }

    /// The caller that runs.
    pub fn caller(&self) -> Era {
        self.pair().caller
    }

    pub(crate) fn adapters(&self) -> Adapter {
        self.pair().adapter
    }

    /// This bug is planted, wherever it acts.
    #[inline]
    pub fn is_planted(&self, plant: Plant) -> bool {
        self.plants.get().has(plant)
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
    pub fn facts(&self) -> &'static Facts {
        self.fs().declaration().era.facts()
    }

    /// Some run executed the planted code.
    pub fn plant_reached(&self) -> bool {
        self.plant_reached.get()
    }

    /// The run comes to a site of a fault; returns whether the case has it fail this time, and
    /// tells.
    pub fn fails(&self, site: Site) -> bool {
        let fails = self.is_hit(site);
        if fails {
            self.event(Event::Failed { site });
        }
        fails
    }

    /// The run comes to a site of a fault; returns whether the case has it go wrong this time.
    #[inline]
    pub(crate) fn is_hit(&self, site: Site) -> bool {
        let times = &self.times[site as usize];
        let n = times.replace(times.get() + 1);
        n < 16 && self.faults.get().of(site) >> n & 1 != 0
    }

    /// setattr comes to its first allocation; returns whether there is no memory. In an ftruncate(2)
    /// alone: others that change the size have nobody to tell.
    pub fn setattr_fails(&self) -> bool {
        matches!(self.task().operation().effect(), Effect::Resizes(_)) && self.fails(Site::Setattr)
    }

    /// The way out of a setattr that has found no memory, under invalidate_lock.
    pub fn setattr_failed(&self) -> Status {
        if !self.reaches_plant(Plant::SetattrKeepsLock) {
            self.invalidate_unlock();
        }
        Status::NoMemory
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
        self.tasks.point(point.number(), 0)
    }

    /// A scheduling point whose next step touches this page.
    #[inline]
    pub fn at_page(&self, point: Point, page: Frame) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point.number(), page_lock(page))
    }

    /// A scheduling point whose next step looks up, or changes, this slot of the page tree.
    pub fn at_slot(&self, point: Point, index: u8) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point.number(), object::slot(self.file_id(), index))
    }

    /// A scheduling point whose next step reads or writes i_size.
    pub fn at_size(&self, point: Point) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point.number(), self.object_of_file(object::SIZE))
    }

    /// A scheduling point whose next step looks the whole tree over.
    pub fn at_tree(&self, point: Point) -> Step<'_, { object::COUNT }> {
        self.tasks.point(point.number(), self.object_of_file(object::TREE))
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
