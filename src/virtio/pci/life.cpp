// The life of a virtio PCI device: status, queues that come and go, reset, pause, saved state (virtio 1.2, 2.1, 2.6.1,
// 3.1 and 4.1.4.3).
#include "base/bits.h"
#include "virtio/pci/pci_device.h"

namespace vireo::virtio {

using namespace device_status;

// ---- Status

void PciDevice::set_status(u8 value) {
  if (value == 0) return reset_device();
  const u8 before = status();
  u8 added = static_cast<u8>(value & ~before & (ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED));
  if ((added & FEATURES_OK) != 0) {
    const bool good = (s_.driver_features & ~offered_features()) == 0 &&
                      (s_.driver_features & feature::VERSION_1) != 0 && device_->negotiated(s_.driver_features);
    if (!good) added &= static_cast<u8>(~FEATURES_OK);
  }
  if (((before | added) & FEATURES_OK) == 0) added &= static_cast<u8>(~DRIVER_OK);
  status_.fetch_or(added);
  if ((added & DRIVER_OK) != 0) start();
}

void PciDevice::start() {
  for (unsigned i = 0; i < queues_.size(); ++i) {
    if (s_.queues[i].enabled && !attach_queue(i)) needs_reset();
  }
}

bool PciDevice::attach_queue(unsigned index) {
  const auto& queue = s_.queues[index];
  auto ring = make_ring(memory_, queue.place, s_.driver_features, queue.position);
  if (!ring) return false;
  queues_[index].attach(std::move(ring), queue.place.size);
  return true;
}

void PciDevice::enable_queue(unsigned index) {
  auto& queue = s_.queues[index];
  if (queue.enabled || (status() & FEATURES_OK) == 0) return;
  queue.enabled = true;
  queue.position = {};
  if ((status() & DRIVER_OK) != 0 && !attach_queue(index)) needs_reset();
}

// ---- Reset. Waits for what is in flight.

QueueState PciDevice::unused_queue(unsigned index) const {
  QueueState queue;
  queue.place.size = device_->queues()[index];
  return queue;
}

void PciDevice::hold_queues(bool on) {
  for (auto& queue : queues_) queue.hold(on);
}

void PciDevice::reset_queue(unsigned index) {
  if ((s_.driver_features & feature::RING_RESET) == 0 || (status() & FEATURES_OK) == 0) return;
  hold_queues(true);
  device_->drain();
  queues_[index].detach();
  s_.queues[index] = unused_queue(index);
  vectors_[index] = NO_VECTOR;
  hold_queues(paused_);
  if (paused_) return;
  for (unsigned i = 0; i < queues_.size(); ++i) notify_later(i);  // those that were held meanwhile
}

void PciDevice::reset_device() {
  hold_queues(true);
  device_->drain();
  s_ = {};
  for (unsigned i = 0; i < queues_.size(); ++i) {
    queues_[i].detach();
    s_.queues.push_back(unused_queue(i));
    vectors_[i] = NO_VECTOR;
  }
  status_ = 0;
  config_vector_ = NO_VECTOR;
  device_->reset();
  take_isr();
  hold_queues(paused_);
}

void PciDevice::reset() {
  const std::lock_guard lock(mutex_);
  reset_device();
  generation_ = 0;
  config_.reset();
  msix_.reset();
  configure_interrupts();
}

// ---- Standing still

void PciDevice::pause() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
  hold_queues(true);
  device_->drain();
}

void PciDevice::resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
    hold_queues(false);
  }
  for (unsigned i = 0; i < queues_.size(); ++i) device_->notify(i);
}

// ---- State

vm::StateRecord PciDevice::save() const {
  const std::lock_guard lock(mutex_);
  SavedDevice saved{
      .transport = s_, .config_space = config_.save(name_).bytes, .msix = msix_.state(), .device = device_->save()};
  auto& transport = saved.transport;
  transport.status = status();
  transport.config_vector = config_vector_;
  transport.config_generation = generation_;
  transport.isr = isr_;
  for (unsigned i = 0; i < queues_.size(); ++i) {
    auto& queue = transport.queues[i];
    queue.vector = vectors_[i];
    queue.attached = queues_[i].attached();
    if (queue.attached) queue.position = queues_[i].position();
  }
  return vm::save_fields(name_, std::move(saved));
}

Result<> PciDevice::load(const vm::StateRecord& record) {
  SavedDevice saved;
  TRY(vm::load_fields(record, saved));
  const auto& transport = saved.transport;
  const auto corrupt = [&] { return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name); };
  const auto good_vector = [&](u16 vector) { return vector == NO_VECTOR || vector < msix_.vectors(); };
  const bool features_ok = (transport.status & FEATURES_OK) != 0;
  if ((transport.status & ~(ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | DEVICE_NEEDS_RESET | FAILED)) != 0 ||
      (!features_ok && (transport.status & DRIVER_OK) != 0) || !good_vector(transport.config_vector) ||
      (transport.isr & ~(isr::Queue | isr::DeviceConfiguration)) != 0 || transport.queues.size() != queues_.size() ||
      !msix_.fits(saved.msix)) {
    return corrupt();
  }
  if (features_ok && ((transport.driver_features & ~offered_features()) != 0 ||
                      (transport.driver_features & feature::VERSION_1) == 0)) {
    return fail(ErrorKind::Usage, "state of '{}' needs features that this program's device has not", record.name);
  }
  std::vector<std::unique_ptr<Ring>> rings;
  for (unsigned i = 0; i < queues_.size(); ++i) {
    const auto& queue = transport.queues[i];
    if (!good_vector(queue.vector) || queue.place.size == 0 || queue.place.size > device_->queues()[i])
      return corrupt();
    rings.push_back(queue.attached ? make_ring(memory_, queue.place, transport.driver_features, queue.position)
                                   : nullptr);
    if (queue.attached && (!rings.back() || !queue.enabled || (transport.status & DRIVER_OK) == 0)) return corrupt();
  }
  auto config = config_;
  TRY(config.load_record({.name = record.name, .version = config_.save({}).version, .bytes = saved.config_space}));

  const std::lock_guard lock(mutex_);
  hold_queues(true);
  device_->drain();
  for (auto& queue : queues_) queue.detach();
  device_->reset();
  if (features_ok && !device_->negotiated(transport.driver_features)) return corrupt();
  if (auto loaded = device_->load(saved.device); !loaded) {
    return fail(loaded.error().kind, "state of '{}': {}", record.name, loaded.error().message);
  }
  s_ = transport;
  config_ = std::move(config);
  msix_.restore(saved.msix);
  status_ = transport.status;
  config_vector_ = transport.config_vector;
  generation_ = transport.config_generation;
  for (unsigned i = 0; i < queues_.size(); ++i) {
    vectors_[i] = transport.queues[i].vector;
    if (rings[i]) queues_[i].attach(std::move(rings[i]), transport.queues[i].place.size);
  }
  {
    const std::lock_guard pin_lock(pin_mutex_);
    isr_ = transport.isr;
  }
  configure_interrupts();
  hold_queues(paused_);
  return {};
}

}  // namespace vireo::virtio
