#include "host/async_io.h"

#include <cerrno>

#include "host/uring.h"
#include "host/workers.h"

namespace vireo::host {
namespace {

constexpr unsigned kThreads = 8;

int perform(const AsyncOperation& operation) {
  switch (operation.kind) {
    case AsyncOperation::Kind::Read:
      return read_all(operation.fd, operation.offset, operation.memory);
    case AsyncOperation::Kind::Write:
      return write_all(operation.fd, operation.offset, operation.memory);
    case AsyncOperation::Kind::SyncData:
      return sync_data(operation.fd);
  }
  return EINVAL;
}

class ThreadIo final : public AsyncIo {
 public:
  void submit(AsyncOperation& operation) override {
    workers_.post([&operation] { operation.done(operation, perform(operation)); });
  }
  const char* name() const override { return "threads"; }

 private:
  Workers workers_{"disk", kThreads};
};

}  // namespace

std::unique_ptr<AsyncIo> AsyncIo::create(Engine engine) {
  if (engine == Engine::Auto) {
    if (auto uring = create_uring()) return uring;
  }
  return std::make_unique<ThreadIo>();
}

}  // namespace vireo::host
