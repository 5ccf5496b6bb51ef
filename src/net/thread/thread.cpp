#include "net/thread/thread.h"

#include "host/thread.h"

namespace vireo::net {

Result<std::unique_ptr<NetThread>> NetThread::create() {
  std::unique_ptr<NetThread> thread(new NetThread);
  TRY_ASSIGN(thread->loop_, host::Loop::create());
  return thread;
}

NetThread::~NetThread() { stop(); }

void NetThread::start() {
  thread_ = std::thread([this] {
    host::name_thread("net");
    loop_->run();
  });
}

void NetThread::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

}  // namespace vireo::net
