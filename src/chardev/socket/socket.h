// The serial line at a Unix socket: whoever connects has it, one at a time. Who connects later takes it over, so that a
// forgotten terminal keeps nobody out.
#pragma once

#include <memory>
#include <string>

#include "chardev/stream/peer.h"
#include "host/loop.h"
#include "host/socket.h"

namespace vireo::chardev {

class SocketChannel final : public ByteChannel {
 public:
  /// Listens; errors as of host::UnixListener. `loop` outlives the channel.
  static Result<std::unique_ptr<SocketChannel>> create(host::Loop& loop, const std::string& path);

  const host::UnixListener& listener() const { return listener_; }
  bool connected() const { return peer_.attached(); }

  bool write(std::span<const u8> bytes) override { return peer_.write(bytes); }
  void flush() override { peer_.flush(); }
  void set_sink(ByteSink* sink) override { peer_.set_sink(sink); }
  void resume_input() override { peer_.resume_input(); }

 private:
  SocketChannel(host::Loop& loop, host::UnixListener listener);

  host::UnixListener listener_;
  PeerChannel peer_;
  std::unique_ptr<host::Loop::Watcher> watcher_;
};

}  // namespace vireo::chardev
