-- What the support centre has learnt once and everybody needs: 'root' is the hash of the installed TUF root, in
-- hexadecimal, which join codes pin.

CREATE TABLE fact (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
