#include "dev/q35/q35.h"

#include "base/bits.h"
#include "dev/q35/spec.h"

namespace vireo::dev {
using namespace q35;

ChipsetFunction::ChipsetFunction(std::string name, const pci::Identity& identity)
    : name_(std::move(name)), config_(pci::HeaderType::Device, identity) {}

u32 ChipsetFunction::config_read(u16 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  return config_.read(offset, size);
}

void ChipsetFunction::config_write(u16 offset, u8 size, u32 value) {
  const std::lock_guard lock(mutex_);
  config_.write(offset, size, value);
  changed();
}

void ChipsetFunction::reset() {
  const std::lock_guard lock(mutex_);
  config_.reset();
  changed();
}

vm::StateRecord ChipsetFunction::save() const {
  const std::lock_guard lock(mutex_);
  return config_.save(name_);
}

Result<> ChipsetFunction::load(const vm::StateRecord& record) {
  const std::lock_guard lock(mutex_);
  TRY(config_.load_record(record));
  changed();
  return {};
}

Q35Mch::Q35Mch()
    : ChipsetFunction("q35.mch", {.vendor = kIntel,
                                  .device = mch::kDevice,
                                  .class_code = 0x060000,
                                  .subsystem_vendor = kSubsystemVendor,
                                  .subsystem = kSubsystem}) {
  for (const u16 bar : {mch::EPBAR, mch::MCHBAR, mch::DMIBAR}) config_.add_register(bar, u64{0}, u64{0xFFFFFF001});
  config_.add_register(mch::PCIEXBAR, u64{0}, mch::kBarWritable);
  for (unsigned i = 0; i < mch::kPams; ++i) {
    config_.add_register(static_cast<u16>(mch::PAM0 + i), u8{0}, mch::kPamWritable);
  }
  config_.add_register(mch::SMRAM, u8{0x02}, u8{0x70});
  config_.add_register(mch::ESMRAMC, u8{0x38}, u8{0x07});
}

void Q35Mch::changed() {
  const u64 bar = config_.get<u64>(mch::PCIEXBAR);
  ecam_ = (bar & mch::PCIEXBAREN) != 0 ? bar & ~mch::kLengthMask & ~mch::PCIEXBAREN : 0;
}

std::optional<u64> Q35Mch::ecam_base() const {
  const u64 base = ecam_.load(std::memory_order_relaxed);
  return base == 0 ? std::nullopt : std::optional(base);
}

Ich9Lpc::Ich9Lpc()
    : ChipsetFunction("q35.lpc", {.vendor = kIntel,
                                  .device = lpc::kDevice,
                                  .class_code = lpc::kClass,
                                  .revision = 2,
                                  .subsystem_vendor = kSubsystemVendor,
                                  .subsystem = kSubsystem}) {
  config_.add_register(lpc::PMBASE, u32{1}, u32{0xFF80});
  config_.add_register(lpc::ACPI_CNTL, u8{0}, u8{0x87});
  config_.add_register(lpc::GPIOBASE, u32{1}, u32{0xFF80});
  config_.add_register(lpc::GC, u8{0}, u8{0x11});
  for (const u16 rout : {lpc::PIRQA_ROUT, lpc::PIRQE_ROUT}) {
    for (u16 i = 0; i < 4; ++i) config_.add_register(static_cast<u16>(rout + i), lpc::kNotRouted, u8{0x8F});
  }
  config_.add_register(lpc::SIRQ_CNTL, u8{0x10}, u8{0xFF});
  config_.add_register(lpc::LPC_IO_DEC, u16{0}, u16{0x1377});
  config_.add_register(lpc::LPC_EN, u16{0}, u16{0x3F0F});
  config_.add_register(lpc::GEN_PMCON_1, u32{0}, u32{0xFFFF});
  config_.add_register(lpc::RCBA, u32{0}, u32{0xFFFFC001});
}

u32 Ich9Lpc::SmiPorts::port_read(u16 offset, u8 size) {
  const u64 registers = APMC_EN;  // SMI_EN; SMI_STS has nothing
  return static_cast<u32>(offset < 8 ? registers >> (8 * offset) & mask_for_size(size) : mask_for_size(size));
}

}  // namespace vireo::dev
