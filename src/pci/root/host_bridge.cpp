#include "pci/root/root.h"

namespace vireo::pci {
namespace {

constexpr Identity kIdentity = {
    .vendor = 0x1B36, .device = 0x0008, .class_code = 0x060000, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100};

}  // namespace

HostBridge::HostBridge() : config_(HeaderType::Device, kIdentity) {}

u32 HostBridge::config_read(u16 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  return config_.read(offset, size);
}

void HostBridge::config_write(u16 offset, u8 size, u32 value) {
  const std::lock_guard lock(mutex_);
  config_.write(offset, size, value);
}

void HostBridge::reset() { config_.reset(); }
vm::StateRecord HostBridge::save() const { return config_.save("pci.host_bridge"); }
Result<> HostBridge::load(const vm::StateRecord& record) { return config_.load_record(record); }

}  // namespace vireo::pci
