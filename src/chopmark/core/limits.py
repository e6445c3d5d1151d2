"""Every limit, named once. Sizes in bytes, times in seconds, the rest counts.

A limit protects the verifier from the artifact: what exceeds one is refused with a finding, never attempted.
"""

from __future__ import annotations

import datetime as dt

KIB = 1024
MIB = 1024 * KIB

# Reading
READ_CHUNK = MIB
"""One read; memory stays a small multiple of this however large the artifact is."""
READ_PART = 128 * KIB
"""One read of what is no longer than READ_IN_PARTS_MAX: memory of this size is used again, larger is mapped anew."""
READ_IN_PARTS_MAX = 8 * MIB
"""What is longer is read in chunks: there so many more reads take longer than mapping does."""
READ_WHOLE_MAX = 256 * KIB
"""A file that is read whole at once and kept while it is open: looking here and there takes as many reads."""
REPLACED_TOGETHER_MAX = 32
"""Small files that are flushed to the medium together before they replace the old ones."""
REPLACED_TOGETHER_SECONDS = 0.1
"""How long a finished file waits for others: a key that takes longer has each written at once."""
DIGEST_STATES_MAX = 4_096
"""Places in one artifact up to which a digest is known; each costs some hundred bytes."""
ABREAST_MAX = 32
"""Files of a call that are open at once, so that each stage of checking is done for all of them in a row."""
ABREAST_BYTES = 4 * MIB
"""How many bytes those have together; a larger file is checked by itself."""
DETECT_HEAD = 4 * KIB
"""What a format sees of a file when it is asked whether this is its own."""

# Envelopes
ENVELOPE_MAX = 16 * MIB
"""One signature envelope. The largest real ones (page hashes of a 500 MB image) stay under this."""
CMS_KEPT_MAX = 32
"""Signatures that are kept in memory once they were read, in case the next ones are like them."""
CMS_KEPT_SIZE_MAX = 16 * KIB
DER_DEPTH_MAX = 32
DER_ELEMENTS_MAX = 100_000
"""Elements of one DER value that are looked at as a list; longer ones are walked one by one."""
CERTIFICATES_MAX = 64
"""Certificates carried by one envelope."""
CERTIFICATES_SIZE_MAX = 256 * KIB
"""All certificates of one envelope together."""
CERTIFICATE_KEPT_MAX = 8 * KIB
"""A certificate that is kept in memory once it was read, in case the next file has it too; so is a name."""
NAME_KEPT_MAX = KIB
EXTENSION_KEPT_MAX = 256
"""The value of an extension that is kept in memory once it was decoded: most certificates say the same in it."""
NAME_SHOWN_MAX = 1024
"""Characters of a Name that people are shown."""
TIMESTAMP_RESPONSE_MAX = MIB
TIMESTAMP_REQUEST_MAX = 64 * KIB
MINISIGN_MAX = 16 * KIB
"""A signature or key file of minisign or signify."""
IMA_SIGNATURE_MAX = 4 * KIB
"""A signature of IMA's or EVM's with its header; the kernel takes attributes of up to 64 KiB."""
FS_VERITY_SIGNATURE_MAX = 16128
"""A built-in signature of fs-verity (Linux, fs/verity/fsverity_private.h: FS_VERITY_MAX_SIGNATURE_SIZE)."""
DM_VERITY_NAMED_MAX = 16
"""Damaged blocks of a volume that are named; the others are counted."""
IMA_SIGNERS_MAX = 16
"""Certificates that are tried because the end of their key identifier is the one a signature names."""
SSH_SIGNATURE_MAX = 64 * KIB
OPENPGP_SIGNATURES_SIZE_MAX = 64 * KIB
"""A file with signatures of OpenPGP's."""
OPENPGP_SIGNATURES_MAX = 32
"""Signatures in one such file."""
OPENPGP_PACKETS_MAX = 200_000
OPENPGP_KEYS_MAX = 10_000
"""Keys in one ring."""
OPENPGP_SELF_SIGNATURES_MAX = 256
"""Signatures of a key on one part of itself: each is verified when the ring is read."""
OPENPGP_NAME_MAX = 512
"""So much of a name of a key is shown."""
CONTENT_SIGNED_MAX = 256 * MIB
"""A file that is signed as it is and not by its digest: read whole, so bounded."""
GIT_OBJECT_MAX = 16 * MIB
"""A commit, tag, push certificate or tree of git's: read whole, so bounded."""
GIT_HEADERS_MAX = 10_000
"""Headers of a commit; a parent is one."""
GIT_MERGED_MAX = 64
"""Tags that one commit merged."""
GIT_UPDATES_MAX = 10_000
"""Refs that one push updates."""
GIT_DELTAS_MAX = 4095
"""Deltas on each other in a pack: git's own limit (pack.depth)."""
GIT_DELTA_WORK_MAX = 256 * MIB
"""Bytes that undoing all deltas of one object may make."""
GIT_KEPT_MAX = 32 * MIB
"""Objects of a pack that stay in memory, because others are deltas on them."""
GIT_PACKS_MAX = 400
"""Packs of a repository, each two open files; git itself begins to join them at 50."""
GIT_REFS_MAX = 1_000_000
GIT_PACKED_REFS_MAX = 128 * MIB
GIT_SETTINGS_MAX = MIB
"""Settings, shallow, grafts and refs of a repository: one file of each."""
GIT_SYMBOLIC_MAX = 5
"""Refs that name another ref, one after the other: git's own limit."""
GIT_ALTERNATES_DEPTH_MAX = 5
"""Repositories that borrow objects from others: git's own limit."""
GIT_WALK_SLOP = 1000
"""Commits that are looked at beyond the oldest of a range, in case that dates are wrong; git takes 5."""
GIT_COMMITS_MAX = 1_000_000
"""Commits that are looked at for one range."""
MODULE_PACKED_MAX = 64 * MIB
"""A compressed kernel module, which is uncompressed in memory, to CONTENT_SIGNED_MAX at most."""
MODINFO_MAX = 256 * KIB
"""What a kernel module says of itself."""
ELF_TABLE_MAX = 4 * MIB
"""A table of segments or sections; 65,000 of them, far more than any program has."""
XZ_MEMORY_MAX = 128 * MIB
"""What an .xz file may ask for to be uncompressed."""
STAMPS_MAX = 8
"""Time stamps on one signature."""
SIGNERS_MAX = 16
NESTED_MAX = 8
"""Nested signatures in one envelope, over all levels."""
UNSIGNED_ATTRIBUTES_MAX = 64 * KIB
"""Unauthenticated attributes other than time stamps and nested signatures."""
RSA_BITS_MAX = 16384
RSA_BITS_MIN = 2048
RSA_BITS_DATED = 1024
"""What was enough before RSA_1024_SUNSET."""

# Keys
KDF_MEMORY_MAX = 2 * 1024 * MIB
"""Memory that a key file may ask for to be decrypted."""
KEY_FILE_MAX = MIB
"""A file with a private key and the certificates beside it."""
PBKDF2_ROUNDS_MAX = 10_000_000
"""Rounds for one passphrase: some seconds of work."""
AGENT_SECONDS = 60.0
"""For one answer of an ssh agent: a person may have to confirm, or to touch something."""
AGENT_MESSAGE_MAX = 256 * KIB
AGENT_KEYS_MAX = 2048
TPM_SECONDS = 60.0
"""For one command of a TPM, and for its turn: making an RSA key takes some of them half a minute."""
TPM_MESSAGE_MAX = 8 * KIB
TPM_AUTH_MAX = 32
"""Bytes of an auth value: a digest of the key's name algorithm."""
KMS_SECONDS = 60.0
"""For one answer of a cloud's key service, all attempts and pauses between them included."""
KMS_ATTEMPTS = 5
KMS_PAUSE = 0.2
"""Seconds before the second attempt; twice as long before each further one."""
KMS_ANSWER_MAX = 256 * KIB
KMS_TOKEN_SPARE = 120.0
"""Seconds before its end from which on an access token is not used any more."""
TPM_HANDLES_MAX = 1024
"""Persistent keys of a TPM that are listed."""

# Settings
SETTINGS_MAX = 64 * KIB
"""A settings file, ours or of an authority."""

# The authority
PROFILES_FILE_MAX = 256 * KIB
"""A file of an authority's own profiles."""
PROFILES_MAX = 200
BLOCKED_KEYS_MAX = 64 * MIB
"""A file of keys that are known to be bad; Debian's lists have some ten thousand lines each."""
CEREMONY_MAX = 256 * KIB
"""A plan for a ceremony, or an approval of one."""
CEREMONY_STEPS_MAX = 50
APPROVERS_MAX = 50
SEARCH_PAGE_MAX = 100_000
"""Certificates that one search answers; the next page begins behind the last of them."""
BACKUP_FILES_MAX = 100_000
"""Files in a backup besides the tables."""
BACKUP_LINE_MAX = 64 * MIB
"""One row of a table in a backup."""
CRL_NUMBERS_SKIPPED = 1_000_000
"""How far CRL numbers jump ahead when an authority is restored: more than it can have used since the backup."""
LINT_FILE_MAX = 32 * MIB
"""A file of certificates or CRLs that is looked at by the linter."""

# Text formats
SCRIPT_MAX = 16 * MIB
"""A script or PowerShell file: read whole, so bounded."""

# Paths
PATH_LENGTH_MAX = 10
"""Certificates in one path, both ends included."""
PATHS_TRIED_MAX = 64
"""Whole paths and dead ends looked at for one signer."""
SIGNATURE_CHECKS_MAX = 128
"""Signatures of certificates checked for one signer."""
NAME_COMPARISONS_MAX = 20_000
"""Comparisons of names with name constraints in one path."""
ISSUER_FETCHES_MAX = 4
"""Issuer certificates fetched for one signer."""
ISSUER_MAX = 256 * KIB
"""A fetched issuer certificate, or a bag of them."""
ISSUER_KEPT = dt.timedelta(days=7)
"""How long a fetched issuer certificate is taken from the cache without asking again."""
STORE_FILE_MAX = 16 * MIB
"""A file of trusted certificates."""
STORE_FILES_MAX = 10_000
"""Files looked at in a folder of trusted certificates."""
JUDGEMENTS_KEPT_MAX = 1024
"""Paths remembered with their judgement, so that many files by one signer cost one path."""
JUDGED_SIZE_KEPT_MAX = 64 * KIB
"""Bytes of certificates and lists behind one of them; what rests on more is judged anew for each file."""

# Dates
SHA1_SUNSET = dt.datetime(2021, 6, 1, tzinfo=dt.UTC)
"""SHA-1 in a signature or certificate counts only where a trusted time shows that it was there before this moment:
the CA/Browser Forum's own end of SHA-1 for code signing (CSBR 1.2.2, on clause 6.1.5)."""
SHA1_STAMP_SUNSET = dt.datetime(2022, 4, 30, tzinfo=dt.UTC)
"""The same for time-stamp tokens (CSBR 1.2.2, on clause 7.1.3.2.1)."""
RSA_1024_SUNSET = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)
"""RSA moduli under 2048 bits may not sign any more after 2013 (NIST SP 800-131A r2 clause 3)."""
DSA_SUNSET = dt.datetime(2024, 2, 3, tzinfo=dt.UTC)
"""DSA keys may not sign any more since FIPS 186-4 was withdrawn (FIPS 186-5 of 2023, announcement 13)."""

# Revocation
CRL_MAX = 128 * MIB
CRLS_KEPT_MAX = 64 * MIB
"""Bytes of fetched CRLs kept in memory."""
CRL_URLS_MAX = 8
"""Addresses of lists that are tried for one certificate, and of deltas for one list."""
CRL_INDEX_MIN = 256 * KIB
"""A CRL from this size on has its index kept on disk."""
CRL_INDEX_HEAD_MAX = 2 * MIB
"""The digests in an index of a CRL; CRL_MAX and its entries need less."""
CRL_INDEXES_MAX = 32
"""Indexes of CRLs on disk; the oldest go first."""
CRL_BLOCKS_KEPT_MAX = 32
"""Blocks of a CRL, or of its index, that are kept in memory."""
EVIDENCE_FILES_MAX = 10_000
"""Files looked at in a folder of evidence."""
EVIDENCE_SIZE_MAX = 512 * MIB
"""All certificates, lists and answers in it together."""
EVIDENCE_ALIKE_MAX = 32
"""Certificates with the same name in it that are tried as an issuer."""
CRL_SIGNERS_MAX = 8
"""Certificates that are tried as the signer of one CRL, besides the issuer's."""
CRL_SEARCHES_MAX = 32
"""Signers of lists other than the issuer, for whose certificates paths are looked for, behind one signature."""
REVOCATION_CARRIED_MAX = 256
"""Lists and answers that came along and are weighed for one signature."""
CRL_SIGNER_DEPTH_MAX = 3
"""Signers of CRLs whose standing hangs on each other."""
CRL_RETENTION = dt.timedelta(days=3653)
"""How long a CRL must still list an expired certificate: ten years (CA/Browser code-signing requirements)."""
CRL_SHARDS_MAX = 1024
"""Lists that one CA's certificates are spread over."""
CRL_TURN_SECONDS = 120.0
"""Waiting for another process that publishes lists of the same CA."""
CRL_PAUSE = dt.timedelta(minutes=10)
"""After one publication, until something that was revoked since asks for the next."""
CLOCK_SKEW = dt.timedelta(minutes=5)
"""How far the clocks of others may be ahead of ours."""

# Logs
NOTE_MAX = 128 * KIB
"""A signed note; sixteen signatures, also the largest of today's, are well under it."""
NOTE_SIGNATURES_MAX = 32
LOG_ENTRY_MAX = 65_535
"""One entry of a log: its length has two bytes (C2SP tlog-tiles)."""
LOG_SIZE_MAX = 2**63 - 1
"""Entries of a log."""
LOG_PROOF_MAX = 256 * KIB
"""A proof from a log, with the entry and the checkpoint in it."""
LOG_TILES_KEPT_MAX = 1024
"""Tiles kept while proofs are made, about 20 KiB each."""

# OCSP
OCSP_REQUEST_MAX = 16 * KIB
OCSP_ASKED_MAX = 64
"""Certificates that one request may ask about."""
OCSP_NONCE_MAX = 128
"""Octets (RFC 9654 clause 2.1)."""
OCSP_RESPONSE_MAX = 256 * KIB
OCSP_SINGLES_MAX = 1024
"""Certificates that one response may be about; some answer about a whole batch."""
OCSP_CERTIFICATES_MAX = 8
"""Certificates in one response."""
OCSP_SIGNERS_MAX = 8
"""Certificates that are tried as the signer of one response."""
OCSP_UNDATED_MAX = dt.timedelta(minutes=5)
"""How old an answer may be that does not say how long it counts: its responder has newer ones all the time."""
OCSP_URLS_MAX = 2
"""Addresses of responders that are tried for one certificate."""
OCSP_GET_MAX = 255
"""Characters of an address with the request in it (RFC 5019 clause 5); longer requests go by POST."""
OCSP_PER_ISSUER_MAX = 16
"""After so many answers fetched about one issuer's certificates, its list is asked for first."""
OCSP_KEPT_MAX = 16 * MIB
"""Bytes of answers kept in memory by whoever checks."""
OCSP_CHANGES_MAX = 1024
"""Changes of the register that a responder looks at one by one; after more, it looks every certificate up again."""
OCSP_RECHECK_SECONDS = 1.0
"""How often a responder asks a database that does not tell by itself whether something changed."""
OCSP_CACHE_SIZE = 64 * MIB
"""Bytes of answers that a responder keeps in memory."""
OCSP_NEAR_SECONDS = 0.1
"""What an answer in the event loop may take; after a longer one, threads answer for OCSP_PAUSE_SECONDS."""
OCSP_LOOK_SECONDS = 0.001
"""How old the knowledge may be that nothing was done with a certificate since its reply was made."""
OCSP_REPLY_SECONDS = 60
"""How long a reply is given again without being looked at; others are told to keep it for so much less."""
OCSP_REPLIES_MAX = 32768
"""Replies that a process keeps for that, about 2 KiB each."""
OCSP_LINES_MAX = 4096
"""Sets of header lines that a process keeps for answers signed ahead."""
OCSP_PATIENCE_SECONDS = 1.0
"""What a register that fails may take to do so; after more, it is not asked for OCSP_PAUSE_SECONDS."""
OCSP_PAUSE_SECONDS = 5.0

# Time stamping
TSA_INACCURACY_MAX = 1.0
"""Seconds that a stamped time may be wrong by."""
TSA_POLICIES_MAX = 64
CLOCK_MEASURED = 900.0
"""Seconds after which time servers are asked again."""
CLOCK_SYNCHRONISED_MAX = 24 * 3600.0
"""Seconds without a measurement after which nothing is stamped (CSBR 6.8)."""
CLOCK_STEP = 0.1
"""Seconds by which the clock may differ from one that only counts: more, and somebody has set it."""
CLOCK_DRIFT = 50e-6
"""Seconds that a clock may gain or lose in one, while nobody measures it."""
SNTP_TIMEOUT = 2.0
SNTP_SERVERS_MAX = 16
SNTP_ANSWER_MAX = 1024
LEGACY_SIGNATURE_MAX = 16 * KIB
"""A signature that is to get a countersignature."""
TIMESTAMP_ROUNDS = 2
"""Times that every time-stamp authority is asked before a signature stays without a stamp."""
TIMESTAMP_PAUSE = 1.0
"""Seconds between those."""

# Blocklists
BLOCKLIST_MAX = 32 * MIB
"""One list; Microsoft's has half a megabyte."""
BLOCKLIST_ENTRIES_MAX = 200_000
"""Things that one list names; elements of one in XML."""
BLOCKLIST_DEPTH_MAX = 16
"""Elements of XML inside of each other; App Control policies have seven."""
BLOCKLISTS_MAX = 100
"""Lists in the folder of those that always count."""
BLOCKLIST_FRESH = dt.timedelta(days=90)
"""After this a list is said to be old: Microsoft's comes out every quarter."""

# Secure Boot
EFI_LISTS_MAX = 4 * MIB
"""Signature lists of one variable; firmware holds a few hundred KiB at most."""
EFI_ENTRIES_MAX = 50_000
"""Certificates and digests in one variable; the largest published dbx has some hundred."""
SBAT_MAX = 64 * KIB
"""An .sbat section, or a level of revocations."""
SBAT_ROWS_MAX = 1000
BOOT_PATHS_MAX = 256
"""Pairs of certificates that are tried between a signer and those that firmware trusts."""
SECTION_SHOWN_MAX = 4 * KIB
"""Text of a section that is shown (a command line, an os-release)."""
SECTIONS_SHOWN_MAX = 256
"""Sections of an image for firmware that are shown; the others are counted. A file may have 65535 in one place."""

# Catalogs
CATALOG_LINE_MAX = 512 * KIB
"""One file of a catalog; an extended attribute has up to 64 KiB, and is written in hex."""
CATALOG_PATH_MAX = 32 * KIB
"""Bytes of a path below the root; folders that lie deeper are not entered."""
CATALOG_ENTRIES_MAX = 50_000_000
CATALOG_EXCLUDES_MAX = 1000
CATALOG_UNIT_MAX = 256
"""Files that a process looks at before it tells what it saw."""
CATALOG_AHEAD_MAX = 50_000
"""Files looked at whose turn in the list has not come."""
CATALOG_RENAMES_MAX = 100_000
"""Files missing, and files added, among which renamed ones are looked for."""
CATALOG_FILES_MAX = 1000
"""Catalogs in a folder of them."""
PACKAGED_FILES_MAX = 5_000_000
"""Files of installed packages that are held in memory while a catalog is made, about 250 bytes each."""
CATALOG_SETTLED = 1.0
"""Seconds that a file must have been unchanged for its digest to be kept for a run that goes on."""

# Versions
VERSION_MAX = 256
"""Characters of a version."""

# Policies
POLICY_MAX = 32 * MIB
"""One policy file; 10,000 rules have about 2 MB."""
POLICY_RULES_MAX = 100_000
"""Rules of a policy and of those that it includes."""
POLICY_VALUES_MAX = 10_000
"""Values in one list of a rule."""
POLICY_TEXT_MAX = 4 * KIB
"""Characters of one value: a path, a name, a comment."""
POLICY_INCLUDES_MAX = 32
POLICY_COMPARISONS_MAX = 5_000_000
"""Pairs of rules that are compared when a policy is checked: some seconds of work."""
POLICY_PROBLEMS_MAX = 100
"""Mistakes in a policy that are told at once."""
POLICY_SIGNERS_MAX = 16
"""Distinct signers that a rule may demand; a file has no more (SIGNERS_MAX)."""
POLICY_STATE_MAX = 16 * MIB
"""What is remembered of versions."""
POLICY_PRODUCTS_MAX = 100_000
"""Products whose versions are remembered."""
EVENT_LINE_MAX = 256 * KIB
"""One event of a guard, as a line of JSON."""
POLICY_GLOB_MAX = 16
"""Stars in one pattern."""
EXPORT_MANIFEST_MAX = 64 * MIB
"""The manifest of a policy exported to another system; one finding and one file each take some hundred bytes."""
EXPORT_FILES_MAX = 100_000
"""Files at hand that are judged for an export."""
EXPORT_SIGNERS_MAX = 1000
"""Certificates of signers at hand."""

# Services
SERVICE_FILE_MAX = MIB
"""A file that says what is started: a unit, a crontab, a rule."""
SERVICE_LINE_MAX = MIB
"""One line with those that continue it, as in systemd."""
SERVICE_SETTINGS_MAX = 20_000
"""Assignments in one unit file."""
SERVICE_NAMES_MAX = 50_000
"""Names in a folder with definitions."""
SERVICE_UNITS_MAX = 20_000
"""Units of one manager."""
SERVICE_STARTS_MAX = 1000
"""Programs that one definition starts."""
SERVICE_SHELL_DEPTH_MAX = 8
"""Shells within shells, and substitutions within substitutions, in one line."""
SERVICE_LINKS_MAX = 40
"""Links on the way to one file, as in the kernel (path_resolution(7))."""
SERVICE_ALIASES_MAX = 128
"""Names that the alias of a unit may lead through, as in systemd."""
SERVICE_INCLUDES_MAX = 1000
"""Files that /etc/ld.so.conf includes, directly or not."""
SERVICE_SEAL_MAX = 4 * MIB
"""The list of a unit's files, without the signature."""
SERVICE_USERS_MAX = 1000
"""Users whose own definitions are looked for."""
# Packages
AR_MEMBERS_MAX = 32
"""Members of a .deb; three and a few signatures."""
DEB_CONTROL_MAX = 64 * MIB
"""What control.tar holds, uncompressed."""
DEB_DATA_MAX = 32 * 1024 * MIB
"""What data.tar holds, uncompressed."""
TAR_ENTRIES_MAX = 1_000_000
TAR_NAME_MAX = 32 * KIB
"""A path or a link's target in a tar file."""
ZSTANDARD_WINDOW_MAX = 27
"""The logarithm of the window that a Zstandard stream may ask for: 128 MiB, as its own program allows."""
ZIP_ENTRIES_MAX = 200_000
"""Members of one archive."""
ZIP_DIRECTORY_MAX = 32 * MIB
"""The list of members at its end."""
ZIP_NAME_MAX = 4 * KIB
UNPACKED_MAX = 16 * 1024 * MIB
"""What a wheel or sdist holds, uncompressed; the largest wheels have some 4 GiB."""
UNPACKED_RATIO_MAX = 100
"""Times that it may be larger than the archive; code and text come to ten at most."""
UNPACKED_ANYWAY = 64 * MIB
"""What it may hold whatever the archive's size: a file of zeros is compressed a thousandfold."""
SDIST_ENTRIES_MAX = 300_000
"""Files of one sdist, about 300 bytes of memory each."""
SDIST_LINKS_FOLLOWED_MAX = 40
"""Links on the way to where a link of an sdist ends, as many as Linux follows (path_resolution(7))."""
SDIST_LINK_STEPS_MAX = 500_000
"""Names that are gone through to see where all links of an sdist end."""
PYTHON_METADATA_MAX = 4 * MIB
"""METADATA, WHEEL and PKG-INFO; they carry the project's description."""
PYTHON_RECORD_MAX = 64 * MIB
"""The RECORD of a wheel, about 100 bytes for each file."""
PYTHON_NAMED_MAX = 20
"""Files of one wheel that are named for the same reason; the others are counted."""
DEB822_PARAGRAPH_MAX = 4 * MIB
RELEASE_MAX = 16 * MIB
"""An InRelease or Release file; Debian's have 150 KiB."""
PACKAGES_MAX = 2 * 1024 * MIB
"""A Packages file, uncompressed; Debian's largest has 60 MiB."""
APT_LISTS_MAX = 1000
"""Releases in a folder of apt's lists."""
APT_PACKAGES_MAX = 1_000_000
"""Packages of one list; Debian has 65,000."""
APT_FUTURE = dt.timedelta(minutes=10)
"""How far the Date of a release may be ahead of ours, as in apt (Acquire::Max-FutureTime)."""
DPKG_STATUS_MAX = 256 * MIB
DPKG_LIST_MAX = 64 * MIB
"""One file of dpkg's about a package: its list of files, or their sums."""
DPKG_PACKAGES_MAX = 200_000
RPM_TAGS_MAX = 65_535
"""Tags of one header, as in rpm (HEADER_TAGS_MAX)."""
RPM_SIGNATURES_MAX = 16 * MIB
"""The values of a signature header; the signatures of single files are among them."""
RPM_HEADER_MAX = 64 * MIB
"""Those of the header. rpm allows four times as much; the largest of Fedora's packages have less than half."""
RPM_FILES_MAX = 1_000_000
RPM_PAYLOAD_MAX = 32 * 1024 * MIB
"""The payload, uncompressed."""
RPM_DATABASE_MAX = 2 * 1024 * MIB
"""rpm's database of a host, and its log; Fedora's with 3,000 packages has 200 MiB."""
RPM_DATABASE_STEPS_MAX = 100_000_000
"""Instructions of SQLite's for one question: some seconds of work."""
RPM_PACKAGES_MAX = 200_000
RPM_LINK_MAX = 4 * KIB
"""The target of a link in a payload: no path is longer (PATH_MAX)."""

# Network
HTTP_TIMEOUT = 10.0
"""From the first look-up of the name to the last byte, redirects included."""
HTTP_LOST_MAX = 30.0
"""Seconds of requests that came to nothing, after which no more are made: the network is taken for down."""
HTTP_REDIRECTS_MAX = 3
HTTP_BODY_MAX = 32 * MIB

# Serving
SERVER_CONNECTIONS_MAX = 2048
"""Connections of one process at the same time; the next one is told to come back."""
SERVER_LINE_MAX = 8 * KIB
"""A request line; an OCSP request by GET is some hundred octets long."""
SERVER_HEAD_MAX = 16 * KIB
"""A request line and header fields."""
SERVER_FIELDS_MAX = 100
SERVER_BODY_MAX = 64 * KIB
SERVER_HEAD_KEPT_MAX = KIB
"""A head whose meaning is remembered, and how many of them are."""
SERVER_HEADS_KEPT_MAX = 4096
SERVER_REQUEST_SECONDS = 30.0
"""From its first byte until it is answered, however slowly it comes in."""
SERVER_IDLE_SECONDS = 10.0
"""Between requests, and between the bytes of one; also for SERVER_PROGRESS bytes of an answer to be taken."""
SERVER_PROGRESS = 64 * KIB
SERVER_LINGER_SECONDS = 2.0
"""For a client that was refused to read why, while what it still sends is thrown away."""
SERVER_STOP_SECONDS = 5.0
"""For requests under way when the server is told to stop."""
SERVER_GRACE_SECONDS = 0.5
"""For a connection without a request when the server is told to stop: what is on its way is still answered."""
SERVER_PIPELINE_MAX = 16
"""Pipelined requests that are answered before the other connections have their turn."""
SERVER_FILE_READ_MAX = 64 * KIB
"""A file that is kept in memory while it does not change; longer ones go from the disk to the network."""
SERVER_FILE_NAME_MAX = 200
SERVER_FILES_KEPT_MAX = 256
"""Published files that a process keeps open, or in memory."""
SERVER_THREADS = 8
"""Threads of one process for answers that have to wait, for a key or a database."""
SERVER_WORKERS_MAX = 64
"""Processes that answer."""
SERVER_GENERATIONS_MAX = 3
"""Generations of them that finish what they have begun after a reload; the next reload waits for the first of them."""
SERVER_LEAVE_SECONDS = 120.0
"""For an earlier generation to do so; the longest answers are large files on slow lines."""
SERVER_START_SECONDS = 60.0
"""For a process to open its keys and databases and say that it is ready."""
SERVER_HUNG_SECONDS = 30.0
"""Without a sign of life from a process, after which it is killed and replaced."""
SERVER_RESTART_SECONDS = 1.0
"""Before a process is replaced that ended soon after it had been started."""
SERVER_LOG_LINES_MAX = 20_000
"""Lines of the access log that wait to be written; what comes after them is dropped, and counted."""
SERVER_FACTS_MAX = 256 * KIB
"""What is known about lists, certificates and the database, as the processes tell each other."""
SERVER_FACTS_SECONDS = 5.0
"""Between two looks at them."""
SERVER_CLOCK_SECONDS = 60.0
"""Between two looks at the clock that time stamps are given by."""
SERVER_FACTS_OLD_SECONDS = 30.0
"""From when on they are too old to call the server ready."""
SERVER_DUE_SECONDS = 10.0
"""Between two looks at what is due: lists to publish, responders to replace, entries to be taken into the log."""
SERVER_WAITING_MAX = 256
"""Requests of one process that wait for such a thread."""

# Guard
IDENTITY_TEXT_MAX = 2_048
"""Characters of one claim of an identity in a certificate."""
GUARD_JUDGES = 4
"""Threads that answer and look at files; digests are computed side by side, checks of signatures take turns."""
GUARD_JUDGES_MAX = 64
"""With those that took the places of others, who wait for somebody; when these are too few, another worker begins."""
GUARD_RELIEF_SECONDS = 1.0
"""So long a file waits for somebody to look at it before there is another thread."""
GUARD_NAMING_SECONDS = 10.0
"""For finding out what the command line of who asks names; who takes longer has named the file."""
GUARD_KEPT_MAX = 16_384
"""Files that are leased and answered from memory, or by the kernel; each has a descriptor."""
GUARD_RELEASED_MAX = 32_768
"""Leases that are to be given back as soon as nobody can be on the way into the file any more; likewise."""
GUARD_KEPT_PARTS = 16
"""Of which one is given up when there are more."""
GUARD_WORKING_DESCRIPTORS = 4_096
"""Descriptors for questions that wait, and for everything else."""
GUARD_SPARE_DESCRIPTORS = 1_024
"""Of these, those that no question takes: who asks when there are no others is told that nothing could be found out."""
GUARD_DESCRIPTORS_MAX = 65_536
"""The numbers under which a worker that died may have owed answers."""
GUARD_KNOWN_MAX = 20_000
"""Contents with facts in memory; more are in the database."""
GUARD_RULINGS_MAX = 4_096
"""What a policy says of files, remembered for GUARD_RULING_SECONDS."""
GUARD_RULING_SECONDS = 5.0
GUARD_NEARBY_TRIES = 3
"""To find what is at a path without asking its file system, which fails where something is mounted at that moment."""
GUARD_EXECUTING_MAX = 4_096
"""Threads between the two events of one execve(2)."""
GUARD_ANSWER_SECONDS = 30.0
"""For finding out what a file is; who waits longer is answered as the settings say."""
GUARD_VERDICT_SECONDS = 3_600.0
"""Before certificates and revocation lists are looked at again for a content that is trusted."""
GUARD_UNTRUSTED_SECONDS = 2.0
"""The same for any other content: a signature or a catalog may come at any moment."""
GUARD_CONTEXT_SECONDS = 60.0
"""The time of a check is at most so old."""
GUARD_GRACE_SECONDS = 0.005
"""Between two looks at who uses a file that a writer waits for."""
GUARD_ENTERING_NANOSECONDS = 1_000_000
"""Time at work in which a thread gets from the answer to holding the file; it takes some microseconds."""
GUARD_HOLD_SECONDS = 30.0
"""A writer waits for those who use the file; the kernel ends it after lease-break-time, 45 s unless set otherwise."""
GUARD_TICK_SECONDS = 0.5
GUARD_EVENTS_AT_ONCE = 16
"""Questions that one thread takes at a time; others are idle, perhaps."""
GUARD_AWAKE_LOOKS = 150
"""Looks for the next question before whoever answered the last one sleeps: some 70 microseconds."""
GUARD_AWAKE_PAUSE_MAX = 4_096
"""Questions that are slept for, at most, where staying awake was in vain several times in a row."""
GUARD_AWAKE_QUESTIONS = 256
"""Questions in a row after which it is asked again whether a processor is to spare for that."""
GUARD_LOOK_SECONDS = 0.5
"""Between two looks at the files of the policy, stores and catalogs, and signs of life."""
GUARD_VERSIONS_SECONDS = 5.0
"""Between two times of writing down which versions ran; each is followed by a look at everything else."""
GUARD_SETTLING_SECONDS = 0.02
"""After which a file that was written is looked at: whoever made it may write once more."""
GUARD_AHEAD_MAX = 256
"""Files that were written and wait to be looked at by a descriptor; others wait in the kernel's queue.

There may be twice as many where nothing can wait there any more; beyond, they are looked at when they are used."""
GUARD_AHEAD_DEPTH_MAX = 64
"""Folders in folders, from the one that is named to be looked at."""
GUARD_AHEAD_SIZE_MAX = 64 * MIB
"""A larger file is looked at when it is used."""
GUARD_AHEAD_PAUSE = 3
"""How many times as long as a look took nothing else is looked at ahead."""
GUARD_MOUNTS_SECONDS = 1.0
"""Between two looks at what is mounted."""
GUARD_SWITCH_SECONDS = 0.0002
"""After which the answering thread gets its turn from threads that compute."""
GUARD_STOP_SECONDS = 5.0
GUARD_HUNG_SECONDS = 15.0
"""Without a sign of life from the worker, after which it is killed and replaced."""
GUARD_DYING_SECONDS = 3.0
"""For a worker that was killed; one that waits for a FUSE file system, and cannot die, is left alone then."""
GUARD_LOADING_SECONDS = 600.0
"""The same while it loads stores, lists and catalogs: until it is ready, and in its main thread."""
GUARD_RESTART_SECONDS = 0.2
"""Before the second start of a worker that died again; doubled each time."""
GUARD_RESTART_MAX_SECONDS = 10.0
GUARD_FAILURES_MAX = 5
"""Starts that failed in a row, after which those who wait are answered at once, and not by the next worker."""
GUARD_DATABASE_KIB = 512
"""Pages of it in memory."""
GUARD_MAYBE_BYTES = 262_144
"""For what may be in it: with 100,000 contents one in a hundred others is looked for in vain."""
GUARD_DATABASE_SECONDS = 1.0
"""For a locked database of verdicts."""
GUARD_NICE = -10
"""The priority of the process that answers, setpriority(2)."""
GUARD_WRITES_AT_ONCE = 8
"""Statements after which the database's thread pauses; all threads share Python's lock."""
GUARD_WRITES_PAUSE_SECONDS = 0.0002
GUARD_WRITES_MAX = 500
"""Changes of it that are written together."""
GUARD_WRITES_WAITING_MAX = 50_000
"""Changes of it that wait; what comes when there are more is not written, and so looked at again after a restart."""
GUARD_WRITING_SECONDS = 0.5
"""Between two times of writing."""
GUARD_SEEN_SECONDS = 30 * 86_400.0
"""For which a file is listed in it that was not looked at again."""
GUARD_SEALS_MAX = 1_000
"""Seals that several files have in common, in memory once."""
GUARD_EVENTS_WAITING_MAX = 20_000
"""Events that wait to be told; what comes after them is counted and dropped."""
GUARD_ALIKE_MAX = 100
"""Uses of one file by one program that are told of one by one in GUARD_ALIKE_SECONDS; how many more is told of once."""
GUARD_ALIKE_SECONDS = 1.0
GUARD_ALIKE_KINDS_MAX = 1_000
"""Different ones of which that is counted."""
GUARD_EVENTS_GATHER_SECONDS = 0.02
"""After the first event, for others."""
GUARD_EVENTS_RECENT_MAX = 1_000
"""Events that `guard events` can show."""
GUARD_OTLP_WAITING_MAX = 5_000
"""Events that wait for an OpenTelemetry collector; what comes after them is counted and dropped."""
GUARD_OTLP_BATCH_MAX = 500
"""Events in one request."""
GUARD_OTLP_GATHER_SECONDS = 0.2
"""For which the first event of a request waits for others."""
GUARD_OTLP_PAUSE_SECONDS = 0.5
"""Before a request is made again; doubled each time, and half more or less by chance."""
GUARD_OTLP_PAUSE_MAX_SECONDS = 30.0
GUARD_OTLP_ANSWER_MAX = 65_536
"""Of a collector."""
GUARD_OTLP_END_SECONDS = 3.0
"""For sending what waits when the guard ends."""
GUARD_NOTICE_SECONDS = 1.0
"""Between two notices on one terminal, and two complaints about the database."""
GUARD_NOTICES_MAX = 100
"""Denials in GUARD_NOTICE_SECONDS that anybody is told of on a terminal; all are events."""
GUARD_TERMINALS_MAX = 1_000
GUARD_PARENT_SECONDS = 0.1
"""How long what a process runs is taken for what it still runs, in the events of its children."""
GUARD_PARENTS_MAX = 1_000
GUARD_ASKING_MAX = 16
"""Connections to the guard's socket that wait."""
GUARD_ASKING_SECONDS = 5.0
GUARD_ANSWER_MAX = 16 * MIB
"""An answer on it."""
GUARD_GLASS_SECONDS_MAX = 86_400.0
"""The longest time for which nothing is denied."""
GUARD_BTF_MAX = 64 * MIB
"""The kernel's description of its types; it takes some 6 MB."""
GUARD_BTF_TYPES_MAX = 1_000_000
GUARD_BTF_DEPTH_MAX = 32
"""Names for one type, and structures within structures."""
GUARD_VERIFIER_LOG = 256 * KIB
"""What the kernel's verifier may say about a program that it refuses."""
GUARD_BPF_DEVICES_MAX = 1_024
"""File systems that are protected in the kernel."""
GUARD_BPF_PASSES_MAX = 8_192
"""Threads that may use a file once; those least recently let are forgotten first."""
GUARD_BPF_SIGNATURE_MAX = 4 * KIB
"""A signature in an extended attribute that the kernel checks by itself."""
GUARD_BPF_DIGESTS_MAX = 100_000
"""Files with fs-verity that are allowed by their digests."""
