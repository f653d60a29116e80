/* SPDX-License-Identifier: Apache-2.0 */
/* Names that mdoc(7) abbreviates: libraries (.Lb), standards (.St), systems (.At). */
#include <string.h>

#include "read_mdoc.h"

typedef struct name_entry {
    const char *key, *text;
} name_entry;

/* "libc" is looked up as "c". */
static const name_entry libraries[] = {
    {"System", "System Library"},
    {"archive", "Streaming Archive Library"},
    {"arm", "ARM Architecture Library"},
    {"arm32", "ARM32 Architecture Library"},
    {"bluetooth", "Bluetooth Library"},
    {"bsm", "Basic Security Module Library"},
    {"c", "Standard C Library"},
    {"c_r", "Reentrant C Library"},
    {"calendar", "Calendar Arithmetic Library"},
    {"cam", "Common Access Method User Library"},
    {"casper", "Casper Library"},
    {"cdk", "Curses Development Kit Library"},
    {"cipher", "FreeSec Crypt Library"},
    {"compat", "Compatibility Library"},
    {"crypt", "Crypt Library"},
    {"curses", "Curses Library"},
    {"cuse", "Userland Character Device Library"},
    {"devinfo", "Device and Resource Information Utility Library"},
    {"devstat", "Device Statistics Library"},
    {"disk", "Interface to Slice and Partition Labels Library"},
    {"dwarf", "DWARF Access Library"},
    {"edit", "Command Line Editor Library"},
    {"elf", "ELF Access Library"},
    {"event", "Event Notification Library"},
    {"fetch", "File Transfer Library"},
    {"form", "Curses Form Library"},
    {"geom", "Userland API Library for Kernel GEOM subsystem"},
    {"i386", "i386 Architecture Library"},
    {"intl", "Internationalized Message Handling Library"},
    {"ipsec", "IPsec Policy Control Library"},
    {"iscsi", "iSCSI protocol library"},
    {"jail", "Jail Library"},
    {"kiconv", "Kernel-side iconv Library"},
    {"kse", "N:M Threading Library"},
    {"kvm", "Kernel Data Access Library"},
    {"m", "Math Library"},
    {"m68k", "m68k Architecture Library"},
    {"magic", "Magic Number Recognition Library"},
    {"mandoc", "Mandoc Macro Compiler Library"},
    {"md", "Message Digest (MD4, MD5, etc.) Support Library"},
    {"memstat", "Kernel Memory Allocator Statistics Library"},
    {"menu", "Curses Menu Library"},
    {"netgraph", "Netgraph User Library"},
    {"netpgp", "Netpgp Signing, Verification, Encryption and Decryption"},
    {"nv", "Name/value pairs library"},
    {"ossaudio", "OSS Audio Emulation Library"},
    {"pam", "Pluggable Authentication Module Library"},
    {"pcap", "Packet capture Library"},
    {"pci", "PCI Bus Access Library"},
    {"pmc", "Performance Counters Library"},
    {"posix", "POSIX Compatibility Library"},
    {"prop", "Property Container Object Library"},
    {"pthread", "POSIX Threads Library"},
    {"puffs", "puffs Convenience Library"},
    {"radius", "RADIUS Client Library"},
    {"refuse", "File System in Userspace Convenience Library"},
    {"resolv", "DNS Resolver Library"},
    {"rpcsec_gss", "RPC GSS-API Authentication Library"},
    {"rpcsvc", "RPC Service Library"},
    {"rt", "POSIX Real-time Library"},
    {"sbuf", "Safe String Composition Library"},
    {"sdp", "Bluetooth Service Discovery Protocol User Library"},
    {"ssp", "Buffer Overflow Protection Library"},
    {"stand", "Standalone Applications Library"},
    {"tacplus", "TACACS+ Client Library"},
    {"termcap", "Termcap Access Library"},
    {"terminfo", "Terminal Information Library"},
    {"thr", "1:1 Threading Library"},
    {"ufs", "UFS File System Access Library"},
    {"ugidfw", "File System Firewall Interface Library"},
    {"ulog", "User Login Record Library"},
    {"usbhid", "USB Human Interface Devices Library"},
    {"util", "System Utilities Library"},
    {"vgl", "Video Graphics Library"},
    {"x86_64", "x86_64 Architecture Library"},
    {"z", "Compression Library"},
};

static const name_entry standards[] = {
    {"ansiC", "ANSI X3.159-1989 (\xe2\x80\x9c"
              "ANSI C89\xe2\x80\x9d)"},
    {"ansiC-89", "ANSI X3.159-1989 (\xe2\x80\x9c"
                 "ANSI C89\xe2\x80\x9d)"},
    {"ieee1275-94", "IEEE Std 1275-1994 (\xe2\x80\x9cOpen Firmware\xe2\x80\x9d)"},
    {"ieee754", "IEEE Std 754-1985"},
    {"iso8601", "ISO 8601"},
    {"iso8802-3", "ISO 8802-3: 1989"},
    {"iso9945-1-90", "ISO/IEC 9945-1:1990 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"iso9945-1-96", "ISO/IEC 9945-1:1996 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"iso9945-2-93", "ISO/IEC 9945-2:1993 (\xe2\x80\x9cPOSIX.2\xe2\x80\x9d)"},
    {"isoC", "ISO/IEC 9899:1990 (\xe2\x80\x9cISO C90\xe2\x80\x9d)"},
    {"isoC-2011", "ISO/IEC 9899:2011 (\xe2\x80\x9cISO C11\xe2\x80\x9d)"},
    {"isoC-90", "ISO/IEC 9899:1990 (\xe2\x80\x9cISO C90\xe2\x80\x9d)"},
    {"isoC-99", "ISO/IEC 9899:1999 (\xe2\x80\x9cISO C99\xe2\x80\x9d)"},
    {"isoC-amd1",
     "ISO/IEC 9899/AMD1:1995 (\xe2\x80\x9cISO C90, Amendment 1\xe2\x80\x9d)"},
    {"isoC-tcor1", "ISO/IEC 9899/TCOR1:1994 (\xe2\x80\x9cISO C90, Technical Corrigendum "
                   "1\xe2\x80\x9d)"},
    {"isoC-tcor2", "ISO/IEC 9899/TCOR2:1995 (\xe2\x80\x9cISO C90, Technical Corrigendum "
                   "2\xe2\x80\x9d)"},
    {"p1003.1", "IEEE Std 1003.1 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-2001", "IEEE Std 1003.1-2001 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-2004", "IEEE Std 1003.1-2004 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-2008", "IEEE Std 1003.1-2008 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-88", "IEEE Std 1003.1-1988 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-90", "IEEE Std 1003.1-1990 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1-96", "ISO/IEC 9945-1:1996 (\xe2\x80\x9cPOSIX.1\xe2\x80\x9d)"},
    {"p1003.1b", "IEEE Std 1003.1b (\xe2\x80\x9cPOSIX.1b\xe2\x80\x9d)"},
    {"p1003.1b-93", "IEEE Std 1003.1b-1993 (\xe2\x80\x9cPOSIX.1b\xe2\x80\x9d)"},
    {"p1003.1c-95", "IEEE Std 1003.1c-1995 (\xe2\x80\x9cPOSIX.1c\xe2\x80\x9d)"},
    {"p1003.1g-2000", "IEEE Std 1003.1g-2000 (\xe2\x80\x9cPOSIX.1g\xe2\x80\x9d)"},
    {"p1003.1i-95", "IEEE Std 1003.1i-1995 (\xe2\x80\x9cPOSIX.1i\xe2\x80\x9d)"},
    {"p1003.2", "IEEE Std 1003.2 (\xe2\x80\x9cPOSIX.2\xe2\x80\x9d)"},
    {"p1003.2-92", "IEEE Std 1003.2-1992 (\xe2\x80\x9cPOSIX.2\xe2\x80\x9d)"},
    {"p1003.2a-92", "IEEE Std 1003.2a-1992 (\xe2\x80\x9cPOSIX.2\xe2\x80\x9d)"},
    {"susv2",
     "Version 2 of the Single UNIX Specification (\xe2\x80\x9cSUSv2\xe2\x80\x9d)"},
    {"susv3",
     "Version 3 of the Single UNIX Specification (\xe2\x80\x9cSUSv3\xe2\x80\x9d)"},
    {"svid4",
     "System V Interface Definition, Fourth Edition (\xe2\x80\x9cSVID4\xe2\x80\x9d)"},
    {"xbd5", "X/Open Base Definitions Issue 5 (\xe2\x80\x9cXBD5\xe2\x80\x9d)"},
    {"xcu5", "X/Open Commands and Utilities Issue 5 (\xe2\x80\x9cXCU5\xe2\x80\x9d)"},
    {"xcurses4.2",
     "X/Open Curses Issue 4, Version 2 (\xe2\x80\x9cXCURSES4.2\xe2\x80\x9d)"},
    {"xns5", "X/Open Networking Services Issue 5 (\xe2\x80\x9cXNS5\xe2\x80\x9d)"},
    {"xns5.2", "X/Open Networking Services Issue 5.2 (\xe2\x80\x9cXNS5.2\xe2\x80\x9d)"},
    {"xpg3", "X/Open Portability Guide Issue 3 (\xe2\x80\x9cXPG3\xe2\x80\x9d)"},
    {"xpg4", "X/Open Portability Guide Issue 4 (\xe2\x80\x9cXPG4\xe2\x80\x9d)"},
    {"xpg4.2",
     "X/Open Portability Guide Issue 4, Version 2 (\xe2\x80\x9cXPG4.2\xe2\x80\x9d)"},
    {"xsh5",
     "X/Open System Interfaces and Headers Issue 5 (\xe2\x80\x9cXSH5\xe2\x80\x9d)"},
};

static const name_entry systems[] = {
    {"v1", "Version 1 AT&T UNIX"},           {"v2", "Version 2 AT&T UNIX"},
    {"v3", "Version 3 AT&T UNIX"},           {"v4", "Version 4 AT&T UNIX"},
    {"v5", "Version 5 AT&T UNIX"},           {"v6", "Version 6 AT&T UNIX"},
    {"v7", "Version 7 AT&T UNIX"},           {"32v", "Version 7 AT&T UNIX/32V"},
    {"III", "AT&T System III UNIX"},         {"V", "AT&T System V UNIX"},
    {"V.1", "AT&T System V Release 1 UNIX"}, {"V.2", "AT&T System V Release 2 UNIX"},
    {"V.3", "AT&T System V Release 3 UNIX"}, {"V.4", "AT&T System V Release 4 UNIX"},
};

static const char *find(const name_entry *table, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].key, key) == 0)
            return table[i].text;
    return NULL;
}

const char *mdoc_library(const char *key)
{
    if (strncmp(key, "lib", 3) != 0)
        return NULL;
    return find(libraries, sizeof libraries / sizeof *libraries, key + 3);
}

const char *mdoc_standard(const char *key)
{
    return find(standards, sizeof standards / sizeof *standards, key);
}

const char *mdoc_system(const char *key)
{
    return find(systems, sizeof systems / sizeof *systems, key);
}
