#include "vmm/consoles.h"

#include <algorithm>

#include "chardev/api/null.h"
#include "chardev/file/file.h"
#include "chardev/pty/pty.h"
#include "chardev/socket/socket.h"
#include "chardev/stdio/stdio.h"

namespace vireo::vmm {
namespace {

using Kind = Console::Kind;

struct Opened {
  std::unique_ptr<chardev::ByteChannel> channel;
  std::string place;
  std::function<bool()> connected = {};
  const host::UnixListener* listener = nullptr;
};

Result<Opened> open_one(const Console& console, host::Loop& loop, const std::function<void()>& left) {
  switch (console.kind) {
    case Kind::None:
      break;
    case Kind::File: {
      TRY_ASSIGN(auto file, chardev::FileChannel::create(loop, console.path));
      return Opened{.channel = std::move(file), .place = "file:" + console.path};
    }
    case Kind::Stdio: {
      TRY_ASSIGN(auto stdio, chardev::StdioChannel::create(loop, left));
      return Opened{.channel = std::move(stdio), .place = "stdio"};
    }
    case Kind::Pty: {
      TRY_ASSIGN(auto pty, chardev::PtyChannel::create(loop));
      auto* there = pty.get();
      return Opened{.channel = std::move(pty), .place = "pty:" + there->path(), .connected = [there] {
                      return there->connected();
                    }};
    }
    case Kind::Socket: {
      TRY_ASSIGN(auto socket, chardev::SocketChannel::create(loop, console.path));
      auto* there = socket.get();
      return Opened{.channel = std::move(socket),
                    .place = fmt::format("unix:{},server=on", console.path),
                    .connected = [there] { return there->connected(); },
                    .listener = &there->listener()};
    }
  }
  return Opened{.channel = std::make_unique<chardev::NullChannel>(), .place = "null"};
}

}  // namespace

Result<Consoles> Consoles::create(const Config& config) {
  Consoles consoles;
  consoles.wanted_ = {config.console};
  consoles.wanted_.insert(consoles.wanted_.end(), config.serial.begin(), config.serial.end());
  if (consoles.wanted_.size() > machine::kMaxSerialPorts) {
    return fail(ErrorKind::Usage, "--serial: a machine has at most {} serial ports, the one of --console included",
                machine::kMaxSerialPorts);
  }
  consoles.serial_ = consoles.wanted_.size();
  for (const auto& [console, name] : config.virtio_consoles) {
    if (!name.empty() && std::ranges::count(consoles.names_, name) != 0) {
      return fail(ErrorKind::Usage, "--virtio-console: two ports have the name {}", name);
    }
    consoles.wanted_.push_back(console);
    consoles.names_.push_back(name);
  }
  if (std::ranges::count(consoles.wanted_, Kind::Stdio, &Console::kind) > 1) {
    return fail(ErrorKind::Usage,
                "{}: standard input and output are taken by another serial port or console; give --console another "
                "place, or name another here",
                std::ranges::count(std::span(consoles.wanted_).first(consoles.serial_), Kind::Stdio, &Console::kind) > 1
                    ? "--serial"
                    : "--virtio-console");
  }
  consoles.late_->resize(consoles.wanted_.size());
  return consoles;
}

std::vector<chardev::ByteChannel*> Consoles::channels() {
  std::vector<chardev::ByteChannel*> channels;
  channels.reserve(serial_);
  for (std::size_t i = 0; i < serial_; ++i) channels.push_back(&(*late_)[i]);
  return channels;
}

std::vector<virtio::ConsolePort> Consoles::virtio_ports() {
  std::vector<virtio::ConsolePort> ports;
  ports.reserve(names_.size());
  for (std::size_t i = 0; i < names_.size(); ++i) {
    ports.push_back({.channel = &(*late_)[serial_ + i], .name = names_[i], .console = names_[i].empty()});
  }
  return ports;
}

Result<> Consoles::open(host::Loop& loop, const std::function<void()>& left, const Notices& notice) {
  ports_.resize(wanted_.size());
  for (const bool terminal : {false, true}) {
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if ((wanted_[i].kind == Kind::Stdio) != terminal) continue;
      TRY_ASSIGN(auto opened, open_one(wanted_[i], loop, left));
      auto& port = ports_[i];
      port.name = i < serial_ ? fmt::format("serial{}", i) : fmt::format("virtconsole{}", i - serial_);
      port.place = std::move(opened.place);
      port.connected = std::move(opened.connected);
      port.listener = opened.listener;
      port.channel = std::make_unique<chardev::LoggedChannel>(std::move(opened.channel));
      if (wanted_[i].kind == Kind::Pty) notice("{} is at {}", port.name, port.place.substr(4));
    }
  }
  for (std::size_t i = 0; i < ports_.size(); ++i) (*late_)[i].connect(*ports_[i].channel);
  return {};
}

void Consoles::flush() {
  for (auto& port : ports_) port.channel->flush();
}

}  // namespace vireo::vmm
