//! The door: who is let in, for how long somebody may stand in it, and who goes when it is full.
//!
//! Nobody stays for ever without showing a token: the head of a request, its body and silence each have a limit of time.
//! Connections are bounded too. When all places are taken, the oldest one on which nothing is being answered goes, those
//! first on which nobody has shown a token; so a crowd of half requests never keeps out whoever has one. Of those with a
//! token whoever asks nothing goes before whoever is still sending a request or still taking an answer; what is worked on,
//! and sockets of the known, stay. That sockets of one principal do not take all places is seen to by their budget.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{io::Errno, process};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
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

/// What happens on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Doing {
    /// Nothing yet, or nothing more: a head is waited for, or the first word of a socket.
    Nothing,
    /// A request's body is waited for.
    Sending,
    /// A request is worked on.
    Working,
    /// An answer is made and is being written.
    Answering,
    /// All of an answer is written, but for what the system has not taken yet.
    Emptying,
    /// It is a socket, and it is known whose.
    Socket,
}

/// The place of a connection; given back when the connection, and the socket that it may have become, are gone.
#[derive(Debug)]
pub struct Place {
    number: u64,
    all: Arc<Places>,
    /// Somebody has shown a token that holds.
    known: AtomicBool,
    /// A [`Doing`].
    doing: AtomicU8,
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

    /// The connection has become a socket of somebody who is known and keeps it: it may be silent for long, and that is its
    /// purpose.
    pub fn is_socket(&self) {
        self.is_known();
        self.now(Doing::Socket);
    }

    /// The body of the request that is worked on is waited for, as long as what this gives lives.
    pub fn sending(&self) -> impl Drop + use<'_> {
        struct Sending<'a>(&'a Place);
        impl Drop for Sending<'_> {
            fn drop(&mut self) {
                self.0.now(Doing::Working);
            }
        }
        self.now(Doing::Sending);
        Sending(self)
    }

    /// Once the place is needed for somebody else.
    pub async fn is_needed(&self) {
        while !self.leaving.load(Ordering::Relaxed) {
            self.told.notified().await;
        }
    }

    fn now(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    fn does(&self, doing: Doing) -> bool {
        self.doing.load(Ordering::Relaxed) == doing as u8
    }

    /// One thing is over and the next begins, unless it is something else by now.
    fn then(&self, over: Doing, next: Doing) {
        // Whichever it is, both are right.
        let _ = self.doing.compare_exchange(over as u8, next as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Who goes first when the place is needed, by the lowest; `None` for whoever stays.
    fn turn(&self) -> Option<(u8, u64)> {
        if self.leaving.load(Ordering::Relaxed) || self.does(Doing::Working) || self.does(Doing::Socket) {
            return None;
        }
        let rank = match self.known.load(Ordering::Relaxed) {
            false => 0,
            true if self.does(Doing::Nothing) => 1,
            true => 2,
        };
        Some((rank, self.number))
    }
}

/// The body of an answer, which knows when all of it was given to be written.
struct Answer {
    body: Body,
    place: Arc<Place>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.place.then(Doing::Answering, Doing::Emptying);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that knows when the system has taken all of an answer: hyper gives a body away long before.
struct Wire {
    stream: TcpStream,
    place: Arc<Place>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // Whoever flushes has no more that waits to be written.
        if flushed.is_ready() {
            self.place.then(Doing::Emptying, Doing::Nothing);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
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
            doing: AtomicU8::new(Doing::Nothing as u8),
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
        let leaving = places.iter().filter_map(|place| Some((place.turn()?, place))).min_by_key(|(turn, _)| *turn);
        let Some((_, place)) = leaving else { return false };
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
/// flight have a while to finish and to be answered. `stopped` is called in between: sockets end by it, and nobody waits much
/// longer for bodies.
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
    let mut stream = TimeoutStream::new(Wire { stream, place: Arc::clone(&place) });
    stream.set_write_timeout(Some(UNREAD));
    stream.set_read_timeout(Some(SILENT));
    let asked = Arc::clone(&place);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        asked.now(Doing::Working);
        let (mut router, place) = (router.clone(), Arc::clone(&asked));
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&place));
        async move {
            let response = router.call(request).await.unwrap_or_else(|never| match never {});
            place.now(Doing::Answering);
            Ok::<_, Infallible>(response.map(|body| Answer { body, place }))
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
                if place.does(Doing::Nothing) {
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
    async fn strangers_go_first_then_whoever_asks_nothing_then_the_slow_and_never_a_request_nor_a_socket_of_somebody_known()
     {
        let places = Places::new(6);
        let [slow, known, reading, stranger, working, socket] = [(); 6].map(|()| places.take());
        known.is_known();
        slow.is_known();
        let sending = slow.sending();
        reading.now(Doing::Answering);
        working.now(Doing::Working);
        socket.is_socket();
        for next in [&reading, &stranger, &known, &slow] {
            assert!(places.make_one_go());
            next.is_needed().await;
        }
        assert!(!places.make_one_go());
        assert!(!places.room().await);
        drop(sending);
        working.now(Doing::Nothing);
        assert!(places.make_one_go());
        working.is_needed().await;
        assert!(!places.make_one_go());
    }

    #[tokio::test]
    async fn an_answer_is_on_its_way_until_the_system_has_taken_all_of_it() {
        let places = Places::new(1);
        let place = places.take();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut wire = Wire { stream, place: Arc::clone(&place) };
        place.now(Doing::Answering);
        let answer = Answer { body: Body::from("so it is"), place: Arc::clone(&place) };
        assert_eq!(answer.size_hint().exact(), Some(8));
        // What is flushed meanwhile is a part.
        tokio::io::AsyncWriteExt::flush(&mut wire).await.unwrap();
        assert!(place.does(Doing::Answering));
        drop(answer);
        assert!(place.does(Doing::Emptying));
        tokio::io::AsyncWriteExt::flush(&mut wire).await.unwrap();
        assert!(place.does(Doing::Nothing));
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
