#include "host/loop.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace vireo::host {
namespace {

// What epoll reports for the loop's own descriptors; watchers count up from 1.
constexpr u64 kWakeId = ~u64{0}, kTimerId = ~u64{0} - 1, kSignalId = ~u64{0} - 2;
constexpr u64 kNsPerSecond = 1'000'000'000;

Result<> add(int epoll, int fd, u64 id) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "cannot set up the event loop");
  return {};
}

// Empties an eventfd or timerfd.
void drain(int fd) {
  u64 count;
  while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace

// What a handle and the loop share. Guarded by the loop's mutex, except `call`, which never changes.
struct Loop::Source : std::enable_shared_from_this<Loop::Source> {
  std::function<void(u32)> call;
  bool dead = false;
  // watchers
  int fd = -1;
  u64 id = 0;
  u32 events = 0;
  // timers
  u64 deadline_ns = 0;
  bool armed = false;  ///< in armed_
  bool due = false;    ///< taken out of armed_ to be called
};

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop);
  TRY(loop->open());
  return loop;
}

Result<> Loop::open() {
  sigemptyset(&signal_mask_);
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_ = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  signals_ = Fd(::signalfd(-1, &signal_mask_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!epoll_ || !wake_ || !timer_ || !signals_) return fail_errno(errno, "cannot set up the event loop");
  TRY(add(epoll_.get(), wake_.get(), kWakeId));
  TRY(add(epoll_.get(), timer_.get(), kTimerId));
  return add(epoll_.get(), signals_.get(), kSignalId);
}

Loop::~Loop() {
  if (!signal_calls_.empty()) ::pthread_sigmask(SIG_UNBLOCK, &signal_mask_, nullptr);
}

u64 Loop::now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * kNsPerSecond + static_cast<u64>(now.tv_nsec);
}

void Loop::run() {
  thread_ = std::this_thread::get_id();
  std::array<epoll_event, 16> events;
  while (!stop_.exchange(false)) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWakeId) {
        drain(wake_.get());
        run_posted();
      } else if (event.data.u64 == kTimerId) {
        drain(timer_.get());
        expire_timers();
      } else if (event.data.u64 == kSignalId) {
        take_signals();
      } else {
        std::shared_ptr<Source> source;
        {
          const std::lock_guard lock(mutex_);
          if (const auto at = watched_.find(event.data.u64); at != watched_.end()) source = at->second;
        }
        if (source) call(source, event.events);
      }
    }
  }
  thread_ = std::thread::id{};
}

void Loop::stop() {
  stop_ = true;
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);  // full means woken already
}

bool Loop::on_thread() const { return thread_.load() == std::this_thread::get_id(); }

void Loop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
    if (posted_.size() > 1) return;  // the wake-up for the first one serves all
  }
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& item : work) item();
}

// Calls a source unless its handle is gone, and makes it known meanwhile, so that retire() can wait.
void Loop::call(const std::shared_ptr<Source>& source, u32 events) {
  {
    const std::lock_guard lock(mutex_);
    if (source->dead) return;
    running_ = source.get();
  }
  source->call(events);
  {
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
  }
  idle_.notify_all();
}

void Loop::retire(Source& source) {
  std::unique_lock lock(mutex_);
  source.dead = true;
  if (source.armed) armed_.erase({source.deadline_ns, &source});
  source.armed = source.due = false;
  if (source.events != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.fd, nullptr);
  if (source.id != 0) watched_.erase(source.id);
  if (!on_thread()) idle_.wait(lock, [&] { return running_ != &source; });
}

std::unique_ptr<Loop::Watcher> Loop::watch(int fd, std::function<void(u32)> ready) {
  auto source = std::make_shared<Source>();
  source->call = std::move(ready);
  source->fd = fd;
  const std::lock_guard lock(mutex_);
  source->id = next_id_++;
  watched_[source->id] = source;
  return std::unique_ptr<Watcher>(new Watcher(*this, std::move(source)));
}

Loop::Watcher::~Watcher() { loop_.retire(*source_); }

Result<> Loop::Watcher::set_events(u32 events) {
  const std::lock_guard lock(loop_.mutex_);
  Source& source = *source_;
  if (events == source.events) return {};
  // Without interest the descriptor leaves the set: epoll would go on reporting a hang-up.
  const int operation = events == 0 ? EPOLL_CTL_DEL : source.events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_event event{.events = events, .data = {.u64 = source.id}};
  if (::epoll_ctl(loop_.epoll_.get(), operation, source.fd, &event) != 0) {
    return fail_errno(errno, "cannot wait for a file descriptor");
  }
  source.events = events;
  return {};
}

std::unique_ptr<Loop::Timer> Loop::make_timer(std::function<void()> expired) {
  auto source = std::make_shared<Source>();
  source->call = [expired = std::move(expired)](u32) { expired(); };
  return std::unique_ptr<Timer>(new Timer(*this, std::move(source)));
}

Loop::Timer::~Timer() { loop_.retire(*source_); }

void Loop::Timer::arm(u64 deadline_ns) {
  const std::lock_guard lock(loop_.mutex_);
  Source& source = *source_;
  source.due = false;
  if (source.armed && source.deadline_ns == deadline_ns) return;
  if (source.armed) {
    auto node = loop_.armed_.extract({source.deadline_ns, &source});
    node.value().first = deadline_ns;
    loop_.armed_.insert(std::move(node));
  } else {
    loop_.armed_.insert({deadline_ns, &source});
  }
  source.deadline_ns = deadline_ns;
  source.armed = true;
  // A later deadline leaves the timerfd as it is: one wake-up too many costs less than a system call each time.
  if (deadline_ns < loop_.programmed_) loop_.program_locked(deadline_ns);
}

void Loop::Timer::cancel() {
  const std::lock_guard lock(loop_.mutex_);
  Source& source = *source_;
  if (source.armed) loop_.armed_.erase({source.deadline_ns, &source});
  source.armed = source.due = false;
}

void Loop::program_locked(u64 deadline_ns) {
  programmed_ = deadline_ns;
  const u64 at = std::min(std::max<u64>(deadline_ns, 1), u64{1} << 62);  // 0 would disarm, and time_t is signed
  itimerspec setting{};
  setting.it_value.tv_sec = static_cast<time_t>(at / kNsPerSecond);
  setting.it_value.tv_nsec = static_cast<long>(at % kNsPerSecond);
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

void Loop::expire_timers() {
  // Taken first, called afterwards: a timer that arms itself for the past must not keep the loop here.
  std::vector<std::shared_ptr<Source>> due;
  {
    const std::lock_guard lock(mutex_);
    programmed_ = ~u64{0};
    const u64 now = now_ns();
    while (!armed_.empty() && armed_.begin()->first <= now) {
      Source* source = armed_.begin()->second;
      armed_.erase(armed_.begin());
      source->armed = false;
      source->due = true;
      due.push_back(source->shared_from_this());
    }
    if (!armed_.empty()) program_locked(armed_.begin()->first);
  }
  for (const auto& source : due) {
    {
      const std::lock_guard lock(mutex_);
      if (!source->due) continue;  // cancelled or armed anew by one before
      source->due = false;
    }
    call(source, 0);
  }
}

Result<> Loop::add_signal(int signo, std::function<void()> caught) {
  const std::lock_guard lock(mutex_);
  sigaddset(&signal_mask_, signo);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &signal_mask_, nullptr); error != 0) {
    return fail_errno(error, "cannot block a signal");
  }
  if (::signalfd(signals_.get(), &signal_mask_, 0) < 0) return fail_errno(errno, "cannot wait for a signal");
  signal_calls_[signo] = std::move(caught);
  return {};
}

void Loop::take_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    std::function<void()> caught;
    {
      const std::lock_guard lock(mutex_);
      if (const auto at = signal_calls_.find(static_cast<int>(info.ssi_signo)); at != signal_calls_.end()) {
        caught = at->second;
      }
    }
    if (caught) caught();
  }
}

}  // namespace vireo::host
