// The PCI devices of a PC: which there are, and in which slots.
#pragma once

#include "machine/pc/board.h"
#include "machine/pc/pc.h"

namespace vireo::machine {

void plug_devices(Board& board, const PcHost& host);

}  // namespace vireo::machine
