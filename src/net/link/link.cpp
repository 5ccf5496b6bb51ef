#include "net/link/link.h"

namespace vireo::net {

Link::Link(NetThread& thread, std::unique_ptr<Backend> behind)
    : behind_(std::move(behind)),
      changed_(thread.loop().make_timer([this] { gate_.pass([this](Port& port) { port.link_changed(link_up()); }); })) {
}

Link::~Link() { changed_.reset(); }

void Link::set(bool up) {
  if (up_.exchange(up) != up) changed_->arm(0);
}

void Link::attach(Port& port) {
  port_ = &port;
  gate_.attach(port);
  behind_->attach(*this);
}

void Link::detach() {
  behind_->detach();
  gate_.detach();
  port_ = nullptr;
}

}  // namespace vireo::net
