#include "net/user/poll_set.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vireo::net {

Result<PollSet> PollSet::create() {
  PollSet set;
  set.epoll_ = host::Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!set.epoll_) return fail_errno(errno, "cannot wait for the network");
  return set;
}

PollSet::Entry& PollSet::entry(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) entries_.resize(index + 1);
  return entries_[index];
}

// The kernel forgets a descriptor that is closed, and `entry` may not have heard of it.
void PollSet::change(int fd, Entry& entry, u32 events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  if (events == 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  } else if (entry.events != 0) {
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  } else {
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    if (std::find(listed_.begin(), listed_.end(), fd) == listed_.end()) listed_.push_back(fd);
  }
  entry.events = events;
}

void PollSet::want(int fd, u32 events) {
  if (fd < 0) return;
  Entry& known = entry(fd);
  known.round = round_;
  if (known.events != events) change(fd, known, events);
}

void PollSet::end() {
  std::erase_if(listed_, [this](int fd) {
    Entry& known = entry(fd);
    if (known.round != round_ && known.events != 0) change(fd, known, 0);
    return known.events == 0;
  });
}

void PollSet::forget(int fd) {
  if (fd >= 0) entry(fd).events = entry(fd).ready = 0;
}

void PollSet::collect() {
  for (const int fd : ready_) entry(fd).ready = 0;
  ready_.clear();
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    entry(event.data.fd).ready = event.events;
    ready_.push_back(event.data.fd);
  }
}

u32 PollSet::ready(int fd) const {
  const auto index = static_cast<std::size_t>(fd);
  return fd < 0 || index >= entries_.size() ? 0 : entries_[index].ready;
}

}  // namespace vireo::net
