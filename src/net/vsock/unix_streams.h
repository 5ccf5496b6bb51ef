// Vsock connections as Unix sockets, in the manner of Firecracker and cloud-hypervisor.
//
//   a program on the host   connects to PATH and says "CONNECT <guest port>\n"; once the guest has accepted it hears
//                           "OK <host port>\n", and everything from there on is the stream
//   a program in the guest  connects to port P of context 2, and reaches the Unix socket PATH_P
//
// Callers who have not said where they want to go are few at a time (kMaxCallers); others wait in the socket's backlog.
//
// Threads: as StreamBackend. Made before other threads (host/connector.h forks).
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "host/connector.h"
#include "host/loop.h"
#include "host/socket.h"
#include "net/api/streams.h"

namespace vireo::net {

class UnixStreams final : public StreamBackend {
 public:
  /// Listens at `path`; errors as of host::UnixListener and host::Connector. `loop` outlives it.
  static Result<std::unique_ptr<UnixStreams>> create(host::Loop& loop, const std::string& path);
  ~UnixStreams() override;

  const host::UnixListener& listener() const { return listener_; }

  void attach(StreamPort& port) override { port_ = &port; }
  void detach() override { port_ = nullptr; }
  std::unique_ptr<Stream> connect(u32 host_port) override;
  void wake() override { wake_->arm(0); }

 private:
  class UnixStream;
  static constexpr std::size_t kMaxCallers = 16;
  /// Somebody who has connected and not yet said where to.
  struct Caller {
    host::Fd socket;
    std::string said;
    std::unique_ptr<host::Loop::Watcher> watcher;
  };

  UnixStreams(host::Loop& loop, host::UnixListener listener, host::Connector connector);
  void serve();
  void accept();
  void hear(std::list<Caller>::iterator caller);
  void take_answers();

  host::Loop& loop_;
  host::UnixListener listener_;
  host::Connector connector_;
  StreamPort* port_ = nullptr;
  std::list<Caller> callers_;
  std::map<u32, UnixStream*> coming_;  ///< by question
  u32 next_question_ = 0;
  std::unique_ptr<host::Loop::Watcher> listening_, answers_;
  std::unique_ptr<host::Loop::Timer> wake_;
};

}  // namespace vireo::net
