// A back end with a plug that can be pulled: what is behind it goes on, but no frame passes, and the guest sees a link
// that is down.
//
// Threads: as in net/api; set() from any thread. The guest hears of it from the network thread.
#pragma once

#include <atomic>
#include <memory>

#include "net/api/backend.h"
#include "net/thread/gate.h"
#include "net/thread/thread.h"

namespace vireo::net {

class Link final : public Backend, private Port {
 public:
  /// `thread`, which is that of `behind`, outlives it.
  Link(NetThread& thread, std::unique_ptr<Backend> behind);
  ~Link() override;

  /// At first it is up. Not part of a saved state: whoever pulled the plug pulls it again.
  void set(bool up);
  Backend& behind() { return *behind_; }

  Offloads send_offloads() const override { return behind_->send_offloads(); }
  unsigned pairs() const override { return behind_->pairs(); }
  void attach(Port& port) override;
  void detach() override;
  void set_receive_offloads(Offloads offloads) override { behind_->set_receive_offloads(offloads); }
  void use_pairs(unsigned count) override { behind_->use_pairs(count); }
  std::size_t send(unsigned pair, std::span<const Frame> frames) override {
    return up_ ? behind_->send(pair, frames) : frames.size();
  }
  void wake() override { behind_->wake(); }
  bool link_up() const override { return up_ && behind_->link_up(); }
  std::vector<u8> save() const override { return behind_->save(); }
  Result<> load(std::span<const u8> bytes) override { return behind_->load(bytes); }

 private:
  // Port; called only between attach() and detach()
  std::size_t receive(unsigned pair, std::span<const Frame> frames) override {
    return up_ ? port_->receive(pair, frames) : frames.size();
  }
  void serve() override { port_->serve(); }
  void link_changed(bool) override { port_->link_changed(link_up()); }

  const std::unique_ptr<Backend> behind_;
  Port* port_ = nullptr;
  Gate gate_;  ///< the way of the timer, which what is behind does not know
  std::atomic<bool> up_{true};
  std::unique_ptr<host::Loop::Timer> changed_;
};

}  // namespace vireo::net
