#include "chardev/socket/socket.h"

namespace vireo::chardev {

Result<std::unique_ptr<SocketChannel>> SocketChannel::create(host::Loop& loop, const std::string& path) {
  TRY_ASSIGN(auto listener, host::UnixListener::create(path));
  std::unique_ptr<SocketChannel> channel(new SocketChannel(loop, std::move(listener)));
  TRY(channel->watcher_->set_events(EPOLLIN));
  return channel;
}

SocketChannel::SocketChannel(host::Loop& loop, host::UnixListener listener)
    : listener_(std::move(listener)), peer_(loop) {
  watcher_ = loop.watch(listener_.fd().get(), [this](u32) {
    if (auto socket = listener_.accept()) peer_.attach(std::move(socket), {});
  });
}

}  // namespace vireo::chardev
