"""One hook per AWS service or protocol: the only code that talks to boto3 and pymysql."""
