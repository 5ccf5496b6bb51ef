#include "virtio/pci/pci_device.h"

#include <array>
#include <cassert>

#include "base/bytes.h"

namespace vireo::virtio {
namespace {

pci::ConfigSpace make_config(const Device& device, bool multi_function) {
  pci::ConfigSpace config(pci::HeaderType::Device, {.vendor = kPciVendor,
                                                    .device = static_cast<u16>(kPciDevice + device.id()),
                                                    .class_code = device.pci_class(),
                                                    .revision = kPciRevision,
                                                    .subsystem_vendor = kPciVendor,
                                                    .subsystem = kPciSubsystem,
                                                    .interrupt_pin = 1,
                                                    .multi_function = multi_function});
  config.add_bar(window::kBar, pci::BarKind::Memory64, window::kSize);
  return config;
}

bool touches(u16 offset, u8 size, u16 from, u32 length) { return offset < from + length && offset + size > from; }

}  // namespace

PciDevice::PciDevice(const Setup& setup, std::unique_ptr<Device> device)
    : name_(setup.name),
      memory_(setup.memory),
      pin_(setup.pin),
      clock_(setup.clock),
      device_(std::move(device)),
      config_(make_config(*device_, setup.multi_function)),
      msix_(config_, static_cast<unsigned>(device_->queues().size()) + 1,
            {.bar = window::kBar, .table = window::MsixTable, .pending = window::MsixPending}, setup.msi) {
  const auto sizes = device_->queues();
  assert(sizes.size() <= kMaxQueues && device_->config_size() <= window::kPart);
  QueueOwner& self = *this;
  for (unsigned i = 0; i < sizes.size(); ++i) {
    queues_.emplace_back(self, i);
    vectors_.emplace_back(NO_VECTOR);
    later_.emplace_back(false);
    s_.queues.push_back(unused_queue(i));
  }
  add_capabilities();
  device_->attach(*this);
  later_timer_ = clock_.make_timer([this] {
    for (unsigned i = 0; i < later_.size(); ++i) {
      if (later_[i].exchange(false)) device_->notify(i);
    }
  });
}

PciDevice::~PciDevice() {
  later_timer_.reset();
  hold_queues(true);
  device_->drain();
  device_.reset();  // it uses the queues to its end
}

// ---- Configuration space

void PciDevice::add_capability(u8 type, u32 offset, u32 length, std::span<const u8> more,
                               std::span<const u8> writable) {
  std::vector<u8> body(pci_cap::kSize - 2u), mask;
  body[pci_cap::CapLen - 2] = static_cast<u8>(pci_cap::kSize + more.size());
  body[pci_cap::CfgType - 2] = type;
  body[pci_cap::Bar - 2] = window::kBar;
  store(&body[pci_cap::Offset - 2], offset);
  store(&body[pci_cap::Length - 2], length);
  body.insert(body.end(), more.begin(), more.end());
  if (!writable.empty()) mask.assign(writable.begin() + 2, writable.end());
  const u16 at = config_.add_capability(pci_cap::kId, body, mask);
  if (type == pci_cap::PCI_CFG) window_capability_ = at;
}

void PciDevice::add_capabilities() {
  add_capability(pci_cap::COMMON_CFG, window::Common, kCommonSize);
  add_capability(pci_cap::ISR_CFG, window::Isr, 1);
  if (device_->config_size() != 0) add_capability(pci_cap::DEVICE_CFG, window::Device, device_->config_size());
  std::array<u8, 4> multiplier{};
  store(multiplier.data(), window::kNotifyMultiplier);
  add_capability(pci_cap::NOTIFY_CFG, window::Notify, static_cast<u32>(queues_.size()) * window::kNotifyMultiplier,
                 multiplier);
  std::array<u8, pci_cap::kPciCfgSize> writable{};
  writable[pci_cap::Bar] = 0xFF;
  store(&writable[pci_cap::Offset], ~u32{0});
  store(&writable[pci_cap::Length], ~u32{0});
  add_capability(pci_cap::PCI_CFG, 0, 0, std::array<u8, 4>{}, writable);  // the data are not kept
}

bool PciDevice::in_config_window(u16 offset) const {
  const u16 data = static_cast<u16>(window_capability_ + pci_cap::PciCfgData);
  return offset >= data && offset < data + 4;
}

PciDevice::ConfigWindow PciDevice::config_window() const {
  const std::lock_guard lock(mutex_);
  const auto field = [&](u8 offset) { return config_.get<u32>(static_cast<u16>(window_capability_ + offset)); };
  const u32 offset = field(pci_cap::Offset), length = field(pci_cap::Length);
  const bool good = config_.get<u8>(static_cast<u16>(window_capability_ + pci_cap::Bar)) == window::kBar &&
                    (length == 1 || length == 2 || length == 4) && offset % length == 0 &&
                    offset <= window::kSize - length;
  return {.offset = offset, .size = static_cast<u8>(good ? length : 0)};
}

u32 PciDevice::config_read(u16 offset, u8 size) {
  if (in_config_window(offset)) {
    const auto [at, length] = config_window();
    if (length == 0) return 0;
    const u64 value = bar_read(window::kBar, at, length);
    return static_cast<u32>(value >> 8 * (offset - window_capability_ - pci_cap::PciCfgData));
  }
  const std::lock_guard lock(mutex_);
  if (touches(offset, size, pci::reg::Status, 2)) {
    const std::lock_guard pin_lock(pin_mutex_);
    const u16 others = config_.get<u16>(pci::reg::Status) & static_cast<u16>(~pci::status::InterruptStatus);
    config_.set(pci::reg::Status, static_cast<u16>(others | (isr_ != 0 ? pci::status::InterruptStatus : 0)));
  }
  return config_.read(offset, size);
}

void PciDevice::config_write(u16 offset, u8 size, u32 value) {
  if (in_config_window(offset)) {
    const auto [at, length] = config_window();
    if (length != 0 && length <= size && offset == window_capability_ + pci_cap::PciCfgData) {
      bar_write(window::kBar, at, length, value & static_cast<u32>((u64{1} << 8 * length) - 1));
    }
    return;
  }
  const std::lock_guard lock(mutex_);
  config_.write(offset, size, value);
  configure_interrupts();
}

std::vector<pci::ConfigSpace::Range> PciDevice::decoded() const {
  const std::lock_guard lock(mutex_);
  return config_.decoded();
}

// ---- The BAR

u64 PciDevice::bar_read(unsigned, u64 offset, u8 size) {
  const u64 within = offset % window::kPart;
  switch (offset - within) {
    case window::Common: {
      const std::lock_guard lock(mutex_);
      return read_common(within, size);
    }
    case window::Isr:
      return within == 0 ? take_isr() : 0;
    case window::Device:
      return read_device_config(within, size);
    case window::MsixTable:
      return msix_.read_table(within, size);
    case window::MsixPending:
      return msix_.read_pending(within, size);
    default:
      return 0;
  }
}

void PciDevice::bar_write(unsigned, u64 offset, u8 size, u64 value) {
  const u64 within = offset % window::kPart;
  switch (offset - within) {
    case window::Common: {
      const std::lock_guard lock(mutex_);
      return write_common(within, size, value);
    }
    case window::Device:
      return write_device_config(within, size, value);
    case window::Notify:
      return ring_doorbell(within);
    case window::MsixTable:
      return msix_.write_table(within, size, value);
    default:
      return;
  }
}

void PciDevice::ring_doorbell(u64 offset) {
  const u64 index = offset / window::kNotifyMultiplier;
  if (offset % window::kNotifyMultiplier != 0 || index >= queues_.size()) return;
  if (!bus_master_.load(std::memory_order_relaxed)) return;
  queues_[index].count_notification();
  device_->notify(static_cast<unsigned>(index));
}

u64 PciDevice::read_device_config(u64 offset, u8 size) {
  const u32 all = device_->config_size();
  if (offset >= all) return 0;
  std::array<u8, 8> bytes{};
  const std::lock_guard lock(mutex_);
  device_->read_config(static_cast<u32>(offset), std::span(bytes).first(std::min<u64>(size, all - offset)));
  return vireo::load<u64>(bytes.data());
}

void PciDevice::write_device_config(u64 offset, u8 size, u64 value) {
  const u32 all = device_->config_size();
  if (offset >= all || size > all - offset) return;
  std::array<u8, 8> bytes{};
  store(bytes.data(), value);
  const std::lock_guard lock(mutex_);
  device_->write_config(static_cast<u32>(offset), std::span(bytes).first(size));
}

// ---- What the device asks for

void PciDevice::config_changed() {
  generation_.fetch_add(1);
  if ((status_.load() & device_status::DRIVER_OK) != 0) interrupt(config_vector_, isr::DeviceConfiguration);
}

void PciDevice::needs_reset() {
  const u8 before = status_.fetch_or(device_status::DEVICE_NEEDS_RESET);
  if ((before & device_status::DEVICE_NEEDS_RESET) == 0) config_changed();
}

void PciDevice::notify_later(unsigned queue) {
  later_[queue] = true;
  later_timer_->arm(clock_.now_ns());
}

void PciDevice::queue_broken(unsigned) { needs_reset(); }

std::vector<Queue::Counts> PciDevice::counts() const {
  std::vector<Queue::Counts> counts;
  counts.reserve(queues_.size());
  for (const auto& queue : queues_) counts.push_back(queue.counts());
  return counts;
}

}  // namespace vireo::virtio
