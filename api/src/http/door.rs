//! The door: who is let in, for how long somebody may stand in it, and who goes when it is full.
//!
//! Nobody stays for ever without showing a token: the head of a request, its body and silence each have a limit of time.
//! Connections are bounded too. When all places are taken, the oldest one on which nothing is being answered goes, those
//! first on which nobody has shown a token; so a crowd of half requests never keeps out whoever has one.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{io::Errno, process};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

/// How long, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The head of a request is whole so long after the connection was opened, or after the answer before it; so a
    /// connection on which nothing is asked ends then too.
    pub head: Duration,
    /// A request's body is whole so long after its head.
    pub body: Duration,
    /// Connections at once, sockets among them.
    pub connections: usize,
}

impl Default for Door {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), body: Duration::from_secs(30), connections: 4096 }
    }
}

/// Bytes of a request's head at most, and what is read of a connection ahead of its use.
const HEAD_BYTES: usize = 32 * 1024;
/// Bytes that the system holds of what a connection was sent and has not taken; it doubles them for its own needs. By itself
/// it would hold 4 MiB for each that does not read, which somebody would have to make first.
const SEND_BUFFER: usize = 128 * 1024;
/// Whoever takes nothing of an answer for so long does not want it. Longer than a socket waits for its own messages, which
/// it can tell.
const UNREAD: Duration = Duration::from_secs(15);
/// Whoever says nothing for so long is gone: sockets are asked for a sign of life three times meanwhile, and no request
/// takes so long.
const SILENT: Duration = Duration::from_secs(70);
/// After the signal to stop, requests in flight have so long to finish.
const DRAIN: Duration = Duration::from_secs(10);
/// Whoever has to go is waited for so long at a time.
const LEAVING: Duration = Duration::from_millis(100);
/// The same trouble is told so often at most.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Descriptors that are kept for the log: databases of sealed volumes, snapshots, texts.
const KEPT_DESCRIPTORS: usize = 128;
/// What somebody is told for whom there is no place.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Raises this process's limit of open files to what it may have.
pub fn raise_descriptors() {
    let limit = process::getrlimit(process::Resource::Nofile);
    let raised = process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = process::setrlimit(process::Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays what it is");
    }
}

/// How many connections there can be with the open files that this process may still have, at most those that are wanted.
pub fn within_descriptors(wanted: usize) -> usize {
    let limit = process::getrlimit(process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // Where the system does not say, the log has a few.
    let open = std::fs::read_dir("/proc/self/fd").map_or(64, Iterator::count);
    let free = limit.saturating_sub(open);
    let possible = (free - KEPT_DESCRIPTORS.min(free / 2)).max(1);
    if possible < wanted {
        tracing::warn!(limit, "the limit of open files allows {possible} connections: raise it with `ulimit -n`");
    }
    wanted.min(possible)
}

/// All places, and who has them.
#[derive(Debug)]
struct Places {
    most: usize,
    next: AtomicU64,
    /// By age.
    taken: Mutex<BTreeMap<u64, Weak<Place>>>,
    left: Notify,
}

/// The place of a connection; given back when the connection, and the socket that it may have become, are gone.
#[derive(Debug)]
pub struct Place {
    number: u64,
    all: Arc<Places>,
    /// Somebody has shown a token that holds.
    known: AtomicBool,
    /// A request is being answered.
    busy: AtomicBool,
    /// It has become a socket.
    socket: AtomicBool,
    leaving: AtomicBool,
    told: Notify,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.all.left.notify_waiters();
    }
}

impl Place {
    /// Somebody has shown a token that holds.
    pub fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// The connection has become a socket.
    pub fn is_socket(&self) {
        self.socket.store(true, Ordering::Relaxed);
    }

    /// Once the place is needed for somebody else.
    pub async fn is_needed(&self) {
        while !self.leaving.load(Ordering::Relaxed) {
            self.told.notified().await;
        }
    }

    fn may_be_needed(&self) -> bool {
        let [busy, known, socket, leaving] =
            [&self.busy, &self.known, &self.socket, &self.leaving].map(|flag| flag.load(Ordering::Relaxed));
        // Whoever has a token keeps a socket: it may be silent for long, and that is its purpose.
        !(busy || leaving || (socket && known))
    }
}

/// A request is being answered as long as it lives.
struct Answering(Arc<Place>);

impl Answering {
    fn new(place: &Arc<Place>) -> Self {
        place.busy.store(true, Ordering::Relaxed);
        Self(Arc::clone(place))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

impl Places {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), next: AtomicU64::new(0), taken: Mutex::default(), left: Notify::new() })
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(self: &Arc<Self>) -> Arc<Place> {
        let place = Arc::new(Place {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            all: Arc::clone(self),
            known: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            socket: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            told: Notify::new(),
        });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(place.number, Arc::downgrade(&place));
        place
    }

    /// Asks one to go: strangers first, the oldest of them; false when nobody can.
    fn make_one_go(&self) -> bool {
        let places: Vec<Arc<Place>> =
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect();
        let leaving = places
            .iter()
            .filter(|place| place.may_be_needed())
            .min_by_key(|place| (place.known.load(Ordering::Relaxed), place.number));
        let Some(place) = leaving else { return false };
        place.leaving.store(true, Ordering::Relaxed);
        place.told.notify_one();
        true
    }

    /// Waits until there is a place for one more; false when nobody goes.
    async fn room(&self) -> bool {
        loop {
            let left = self.left.notified();
            let taken = self.taken();
            if taken < self.most {
                return true;
            }
            if !self.make_one_go() {
                return false;
            }
            // No matter who goes; and nobody is waited for who does not go at once.
            let _ = timeout(LEAVING, left).await;
        }
    }

    /// Waits until all have gone.
    async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.taken() == 0 {
                return;
            }
            let _ = timeout(LEAVING, left).await;
        }
    }
}

/// Tells the same trouble now and then only.
#[derive(Default)]
struct Told(Option<Instant>);

impl Told {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= TELL_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Lets connections in until `stop` is there. Then nobody else comes in, whoever asks nothing goes at once, and requests in
/// flight have a while to finish. `stopped` is called in between: sockets end by it.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    door: Door,
    stop: impl Future<Output = ()> + Send,
    stopped: impl FnOnce() + Send,
) -> io::Result<()> {
    // Connections have what their listener has.
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER) {
        tracing::debug!(%error, "connections have send buffers of the system's own size");
    }
    let places = Places::new(door.connections);
    let (closing, _) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    let (mut told_full, mut told_failed) = (Told::default(), Told::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                if places.taken() >= places.most && told_full.is_due() {
                    tracing::warn!(connections = places.most, "all places are taken: whoever asks nothing goes");
                }
                if places.room().await {
                    tokio::spawn(connection(stream, router.clone(), places.take(), door, closing.subscribe()));
                } else {
                    // A few bytes always find room in a connection that is new.
                    let _ = stream.try_write(FULL);
                }
            }
            Err(error) => {
                let few = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
                if error.raw_os_error().is_some_and(|errno| few.contains(&errno)) {
                    if told_failed.is_due() {
                        tracing::error!(%error, "no more connections can be let in: raise the limit of open files");
                    }
                    places.make_one_go();
                    tokio::time::sleep(LEAVING).await;
                } else if told_failed.is_due() {
                    // It went away before it was let in.
                    tracing::info!(%error, "a connection could not be let in");
                }
            }
        }
    }
    drop(listener);
    stopped();
    closing.send_replace(true);
    if timeout(DRAIN, places.empty()).await.is_err() {
        tracing::warn!(connections = places.taken(), "some connections were cut: they did not finish in time");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    router: Router,
    place: Arc<Place>,
    door: Door,
    mut closing: watch::Receiver<bool>,
) {
    // Without it small answers may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    stream.set_read_timeout(Some(SILENT));
    let answering = Arc::clone(&place);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let busy = Answering::new(&answering);
        let mut router = router.clone();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&answering));
        async move {
            let response = router.call(request).await;
            drop(busy);
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(door.head).max_buf_size(HEAD_BYTES);
    let served = http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades();
    let mut served = std::pin::pin!(served);
    let mut asked_to_finish = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            () = place.is_needed() => return,
            _ = closing.wait_for(|closing| *closing), if !asked_to_finish => {
                if !place.busy.load(Ordering::Relaxed) {
                    return;
                }
                asked_to_finish = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_go_first_then_whoever_asks_nothing_and_never_a_socket_or_a_request_of_somebody_known() {
        let places = Places::new(4);
        let [known, stranger, busy, socket] = [(); 4].map(|()| places.take());
        known.is_known();
        let answering = Answering::new(&busy);
        socket.is_known();
        socket.is_socket();
        assert!(places.make_one_go());
        stranger.is_needed().await;
        assert!(places.make_one_go());
        known.is_needed().await;
        assert!(!places.make_one_go());
        assert!(!places.room().await);
        drop(answering);
        assert!(places.make_one_go());
        busy.is_needed().await;
        assert!(!places.make_one_go());
    }

    #[tokio::test]
    async fn a_place_is_free_once_its_connection_is_gone() {
        let places = Places::new(1);
        let place = places.take();
        let gone = tokio::spawn(async move { place.is_needed().await });
        assert!(places.room().await);
        gone.await.unwrap();
        assert_eq!(places.taken(), 0);
        places.empty().await;
    }
}
