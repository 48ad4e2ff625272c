//! A member of encrypted channels: what it keeps on disk, its connection to the relay, and how it joins.
