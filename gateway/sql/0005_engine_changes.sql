-- A change of a storage engine has gateways read the whole directory again: there are few, and they change seldom.

SELECT gateway.watch('gateway.engine', 'all');
