#include "machine/pc/board.h"

#include <algorithm>

#include "base/bits.h"
#include "dev/fwcfg/spec.h"
#include "dev/q35/spec.h"
#include "machine/pc/layout.h"

namespace vireo::machine {
namespace {

/// An access as it is when it lies in one range, `fallback` when it touches none, else byte by byte.
template <class Device, class Whole, class Fallback, class Bytes>
auto route(const Bus<Device>& bus, u64 address, u8 size, Whole whole, Fallback fallback, Bytes bytes) {
  const auto* range = bus.find(address);
  if (range != nullptr && range->holds(address, size)) return whole(*range->device, address - range->base);
  if (range == nullptr && !bus.begins_within(address, size)) return fallback();
  return bytes();
}

}  // namespace

Board::IsaIrq::IsaIrq(Board& board, unsigned number)
    : pic_(board.pic_.line(number)), ioapic_(board.ioapic_.pin(layout::ioapic_pin(number))) {}

vm::PortDevice& Board::ConfigPorts::target(u16 offset, u8 size) {
  return is_reset(offset, size) ? board_.reset_control_.port_cf9() : board_.pci_.config_ports();
}

std::array<vm::IrqLine*, pci::Root::kWires> Board::pci_wires() {
  std::array<vm::IrqLine*, pci::Root::kWires> wires{};
  for (unsigned i = 0; i < wires.size(); ++i) wires[i] = &ioapic_.pin(layout::kPciPins + i);
  return wires;
}

Board::FirmwareChips::FirmwareChips(vm::GuestMemory& memory, chardev::ByteChannel* log) : fw_cfg(memory) {
  if (log != nullptr) debug.emplace(*log);
}

Board::Board(const Setup& setup)
    : pic_(setup.pic_output),
      ioapic_(
          setup.fabric.msi(),
          [&fabric = setup.fabric](unsigned pin, const irq::IoApic::Route& route) { fabric.ioapic_route(pin, route); }),
      isa_([this] {
        std::deque<IsaIrq> lines;
        for (unsigned irq = 0; irq < irq::Pic::kLines; ++irq) lines.emplace_back(*this, irq);
        return lines;
      }()),
      pit_(isa(layout::kPitIrq), setup.clock),
      rtc_(isa(layout::kRtcIrq), setup.clock),
      i8042_(isa(layout::kKeyboardIrq), isa(layout::kMouseIrq), setup.power),
      reset_control_(setup.power),
      acpi_pm_(isa(layout::kSciIrq), setup.clock, setup.power),
      firmware_(setup.firmware ? std::make_optional<FirmwareChips>(setup.memory, setup.firmware_log) : std::nullopt),
      pci_(pci_wires(), firmware_ ? &firmware_->mch : nullptr),
      hot_plug_({.root = pci_,
                 .msi = setup.fabric.msi(),
                 .memory = setup.memory,
                 .clock = setup.clock,
                 .first_slot = layout::kFirstPortSlot,
                 .changed = setup.ports_changed,
                 .removed = setup.card_removed}),
      memory_(setup.memory),
      clock_(setup.clock),
      msi_(setup.fabric.msi()) {
  const std::size_t count = std::min(setup.serial.size(), std::size(layout::kComPorts));
  for (std::size_t i = 0; i < count; ++i) {
    uarts_.emplace_back("uart" + std::to_string(i), isa(layout::kComPorts[i].irq), setup.clock, *setup.serial[i]);
  }
  setup.fabric.set_eoi([this](u8 vector) { ioapic_.eoi(vector); });
  place();
  stateful_ = {&pic_, &ioapic_, &pit_, &rtc_, &i8042_, &reset_control_, &acpi_pm_};
  for (auto& uart : uarts_) stateful_.push_back(&uart);
  if (firmware_) stateful_.insert(stateful_.end(), {&firmware_->lpc, &firmware_->fw_cfg});
}

std::vector<vm::Stateful*> Board::stateful() {
  auto models = stateful_;
  for (auto* model : hot_plug_.stateful()) models.push_back(model);
  if (firmware_) {
    models.push_back(&firmware_->mch);
  } else {
    models.push_back(&pci_.host_bridge());
  }
  models.push_back(&pci_);
  return models;
}

void Board::place() {
  ports_.add(layout::kPicMaster, 2, pic_.master_ports());
  ports_.add(layout::kPicSlave, 2, pic_.slave_ports());
  ports_.add(layout::kElcr, 2, pic_.elcr_ports());
  ports_.add(layout::kPit, dev::Pit::kPorts, pit_);
  ports_.add(layout::kPort61, 1, pit_.port61());
  ports_.add(layout::kI8042Data, 1, i8042_.data_port());
  ports_.add(layout::kI8042Command, 1, i8042_.command_port());
  ports_.add(layout::kRtc, dev::Rtc::kPorts, rtc_);
  ports_.add(layout::kPort92, 1, reset_control_.port92());
  ports_.add(layout::kPciConfig, pci::Root::kConfigPorts, config_ports_);
  for (std::size_t i = 0; i < uarts_.size(); ++i)
    ports_.add(layout::kComPorts[i].port, dev::Uart16550::kPorts, uarts_[i]);
  if (firmware_) {
    place_firmware(*firmware_);
  } else {
    ports_.add(layout::kAcpiPm, dev::AcpiPm::kPorts, acpi_pm_);
    mmio_.add(layout::kEcam, pci::Root::kEcamSize, pci_.ecam());
  }
  mmio_.add(layout::kIoApic, irq::IoApic::kSize, ioapic_);
}

void Board::place_firmware(FirmwareChips& chips) {
  ports_.add(layout::kAcpiPm, dev::q35::kSmiEnOffset, acpi_pm_);
  ports_.add(layout::kAcpiPm + dev::q35::kSmiEnOffset, dev::q35::kSmiPorts, chips.lpc.smi_ports());
  ports_.add(layout::kFwCfg, dev::fwcfg::kPorts, chips.fw_cfg);
  if (chips.debug) ports_.add(layout::kDebugPort, dev::DebugPort::kPorts, *chips.debug);
  pci_.attach(layout::kLpcSlot, 0, chips.lpc);
}

std::optional<u64> Board::ecam_base() const {
  return firmware_ ? firmware_->mch.ecam_base() : std::optional(layout::kEcam);
}

std::optional<u64> Board::in_moved_ecam(u64 gpa, u8 size) const {
  if (!firmware_) return std::nullopt;
  const auto base = firmware_->mch.ecam_base();
  if (!base || gpa - *base > pci::Root::kEcamSize - size) return std::nullopt;
  return gpa - *base;
}

void Board::plug(layout::Place place, std::string name, std::unique_ptr<virtio::Device> device, bool shared) {
  auto& function = virtio_.emplace_back(virtio::PciDevice::Setup{.name = std::move(name),
                                                                 .memory = memory_,
                                                                 .clock = clock_,
                                                                 .msi = msi_,
                                                                 .pin = pci_.intx(place.slot, 0),
                                                                 .multi_function = shared},
                                        std::move(device));
  pci_.attach(place.slot, place.function, function);
  virtio_places_.push_back(place);
  stateful_.push_back(&function);
}

void Board::reset() {
  hot_plug_.take_out_asked_for();
  for (auto* model : stateful()) model->reset();
}

void Board::assign_bars() {
  for (const auto& [slot, function] : virtio_places_) {
    const u64 bar = (u64{slot} << 15) + (u64{function} << 12) + pci::reg::BaseAddress0 + 4 * virtio::window::kBar;
    pci_.ecam().mmio_write(bar, 4, layout::kPciMemory + (slot + function * pci::kDevices) * u64{virtio::window::kSize});
  }
}

u64 Board::mmio_read(u64 gpa, u8 size) {
  if (const auto offset = in_moved_ecam(gpa, size)) return pci_.ecam().mmio_read(*offset, size);
  return route(
      mmio_, gpa, size, [&](vm::MmioDevice& device, u64 offset) { return device.mmio_read(offset, size); },
      [&] { return pci_.memory_read(gpa, size); },
      [&] {
        u64 value = 0;
        for (u8 i = 0; i < size; ++i) value |= (mmio_read(gpa + i, 1) & 0xFF) << (8 * i);
        return value;
      });
}

void Board::mmio_write(u64 gpa, u8 size, u64 value) {
  if (const auto offset = in_moved_ecam(gpa, size)) return pci_.ecam().mmio_write(*offset, size, value);
  route(
      mmio_, gpa, size, [&](vm::MmioDevice& device, u64 offset) { device.mmio_write(offset, size, value); },
      [&] { pci_.memory_write(gpa, size, value); },
      [&] {
        for (u8 i = 0; i < size; ++i) mmio_write(gpa + i, 1, value >> (8 * i) & 0xFF);
      });
}

u32 Board::port_read(u16 port, u8 size) {
  return route(
      ports_, port, size,
      [&](vm::PortDevice& device, u64 offset) { return device.port_read(static_cast<u16>(offset), size); },
      [&] { return pci_.io_read(port, size); },
      [&] {
        u32 value = 0;
        for (u8 i = 0; i < size; ++i) value |= (port_read(static_cast<u16>(port + i), 1) & 0xFF) << (8 * i);
        return value;
      });
}

void Board::port_write(u16 port, u8 size, u32 value) {
  route(
      ports_, port, size,
      [&](vm::PortDevice& device, u64 offset) { device.port_write(static_cast<u16>(offset), size, value); },
      [&] { pci_.io_write(port, size, value); },
      [&] {
        for (u8 i = 0; i < size; ++i) port_write(static_cast<u16>(port + i), 1, value >> (8 * i) & 0xFF);
      });
}

}  // namespace vireo::machine
