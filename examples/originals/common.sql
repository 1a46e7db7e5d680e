-- Macros of all conversions. An original's files are named by pattern; convert.py sets a variable of
-- that name to the list of files found (FILE.gz too; a leading ? marks files that may be missing).

CREATE MACRO csv(pattern) AS TABLE
FROM read_csv(getvariable(pattern), header = true, all_varchar = true, skip = 0, delim = ',',
    quote = '"', escape = '"', union_by_name = true,
    encoding = coalesce(getvariable('encoding'), 'utf-8'));

-- One column `line`: neither JSON nor a Python literal can hold a tab that is not escaped.
CREATE MACRO lines(pattern) AS TABLE
FROM read_csv(getvariable(pattern), header = false, auto_detect = false,
    columns = {line: 'VARCHAR'}, delim = '\t', quote = '', escape = '');

-- Text as a shopper reads it: no HTML entities, nothing for the empty string.
CREATE MACRO plain(text) AS nullif(trim(replace(replace(replace(replace(replace(text,
    '&quot;', '"'), '&#39;', ''''), '&lt;', '<'), '&gt;', '>'), '&amp;', '&')), '');

-- '$1,299.00' is 1299.0; a range, 'from 14.99' or a scrap of a web page is no price.
CREATE MACRO money(text) AS
    TRY_CAST(replace(regexp_replace(text, '^\$', ''), ',', '') AS DECIMAL(18, 2))::DOUBLE;
