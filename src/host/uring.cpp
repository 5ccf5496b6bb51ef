#include "host/uring.h"

#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <thread>

#include "host/thread.h"

namespace vireo::host {
namespace {

constexpr unsigned kEntries = 256;  ///< requests the kernel works on at once
constexpr std::array kOperations = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_READ};

/// Requests in the order they came.
class Queue {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(AsyncOperation& operation) {
    operation.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &operation;
    last_ = &operation;
  }
  AsyncOperation& pop() {
    AsyncOperation& operation = *first_;
    first_ = operation.next;
    return operation;
  }
  void append(Queue& other) {
    while (!other.empty()) push(other.pop());
  }

 private:
  AsyncOperation *first_ = nullptr, *last_ = nullptr;
};

class Uring final : public AsyncIo {
 public:
  ~Uring() override;
  bool open();
  void submit(AsyncOperation& operation) override;
  const char* name() const override { return "io_uring"; }

 private:
  void run();
  bool take();
  void listen();
  void prepare(AsyncOperation& operation);
  void complete(AsyncOperation& operation, int result);
  void wake() const;
  /// Debian's liburing does not export what would do it.
  bool call_register(int what, void* argument, std::size_t count) const {
    return ::syscall(SYS_io_uring_register, ring_.ring_fd, what, argument, count) == 0;
  }

  io_uring ring_{};
  bool made_ = false;
  Fd event_;

  // The thread's own
  Queue waiting_;           ///< for room in the ring
  unsigned in_kernel_ = 0;  ///< requests
  bool listening_ = false;  ///< a read of event_ is in the ring
  u64 event_count_ = 0;

  std::mutex mutex_;  ///< guards everything below
  Queue arrived_;
  bool asleep_ = false;  ///< the thread waits for completions and does not look at arrived_
  bool stop_ = false;
  std::thread thread_;
};

bool Uring::open() {
  event_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!event_) return false;
  io_uring_params params{};
  params.flags = IORING_SETUP_R_DISABLED;
  if (::io_uring_queue_init_params(kEntries, &ring_, &params) != 0) return false;
  made_ = true;
  std::array<io_uring_restriction, kOperations.size()> restrictions{};
  for (std::size_t i = 0; i < kOperations.size(); ++i) {
    restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
    restrictions[i].sqe_op = static_cast<u8>(kOperations[i]);
  }
  return call_register(IORING_REGISTER_RESTRICTIONS, restrictions.data(), restrictions.size()) &&
         call_register(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

Uring::~Uring() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    thread.swap(thread_);
  }
  wake();
  if (thread.joinable()) thread.join();
  if (made_) ::io_uring_queue_exit(&ring_);
}

void Uring::wake() const {
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void Uring::submit(AsyncOperation& operation) {
  operation.rest = Scatter(operation.memory);
  bool asleep = false;
  {
    const std::lock_guard lock(mutex_);
    arrived_.push(operation);
    std::swap(asleep, asleep_);
    if (!thread_.joinable() && !stop_) thread_ = std::thread([this] { run(); });
  }
  if (asleep) wake();
}

/// False once there is nothing left to do for ever.
bool Uring::take() {
  const std::lock_guard lock(mutex_);
  waiting_.append(arrived_);
  asleep_ = true;
  return !stop_ || !waiting_.empty() || in_kernel_ > 0;
}

void Uring::listen() {
  if (listening_) return;
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  if (entry == nullptr) return;
  ::io_uring_prep_read(entry, event_.get(), &event_count_, sizeof event_count_, 0);
  ::io_uring_sqe_set_data(entry, nullptr);
  listening_ = true;
}

void Uring::prepare(AsyncOperation& operation) {
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  const auto window = operation.rest.window();
  switch (operation.kind) {
    case AsyncOperation::Kind::Read:
      ::io_uring_prep_readv(entry, operation.fd, window.data(), static_cast<unsigned>(window.size()), operation.offset);
      break;
    case AsyncOperation::Kind::Write:
      ::io_uring_prep_writev(entry, operation.fd, window.data(), static_cast<unsigned>(window.size()),
                             operation.offset);
      break;
    case AsyncOperation::Kind::SyncData:
      ::io_uring_prep_fsync(entry, operation.fd, IORING_FSYNC_DATASYNC);
      break;
  }
  ::io_uring_sqe_set_data(entry, &operation);
  ++in_kernel_;
}

void Uring::complete(AsyncOperation& operation, int result) {
  --in_kernel_;
  if (result == -EINTR || result == -EAGAIN) return waiting_.push(operation);
  if (result < 0 || operation.kind == AsyncOperation::Kind::SyncData) return operation.done(operation, -result);
  if (result == 0 && !operation.rest.done()) {
    if (operation.kind == AsyncOperation::Kind::Write) return operation.done(operation, EIO);
    operation.rest.zero_rest();  // the end of the file
  }
  operation.offset += static_cast<u64>(result);
  operation.rest.advance(static_cast<u64>(result));
  if (!operation.rest.done()) return waiting_.push(operation);
  operation.done(operation, 0);
}

void Uring::run() {
  name_thread("disk");
  while (take()) {
    listen();
    while (!waiting_.empty() && in_kernel_ < kEntries && ::io_uring_sq_space_left(&ring_) > 0) {
      prepare(waiting_.pop());
    }
    // An error here is the kernel's lack of memory for a moment; the entries stay in the ring.
    ::io_uring_submit_and_wait(&ring_, 1);
    {
      const std::lock_guard lock(mutex_);
      asleep_ = false;
    }
    io_uring_cqe* entry = nullptr;
    while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
      auto* operation = static_cast<AsyncOperation*>(::io_uring_cqe_get_data(entry));
      const int result = entry->res;
      ::io_uring_cqe_seen(&ring_, entry);
      if (operation == nullptr) {
        listening_ = false;
      } else {
        complete(*operation, result);
      }
    }
  }
}

}  // namespace

std::unique_ptr<AsyncIo> create_uring() {
  auto uring = std::make_unique<Uring>();
  if (!uring->open()) return nullptr;
  return uring;
}

}  // namespace vireo::host
